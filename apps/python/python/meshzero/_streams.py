"""Messages and news as asynchronous iterators."""

from __future__ import annotations

from . import _meshzero, _task
from ._config import EVERYTHING, FOREVER, seconds
from ._errors import Closed, MissedNews, NotConvertible
from ._ready import RestartableCoroutine
from ._verbs import full

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Generator, Sequence

    from ._config import _Forever


async def next_request(address: str, wait: float | None, if_open: bool) -> _meshzero.Request | None:
    """Returns the next message that can be converted, within `wait` seconds."""
    time = _task.Deadline(wait)
    while True:
        try:
            request: _meshzero.Request | None = await _task.run(_meshzero.next_request_async(address, wait, if_open))
            return request
        except NotConvertible:
            wait = time.left()


class Requests(RestartableCoroutine):
    """An asynchronous iterator of messages, which ends when the address is closed. Returned by `requests`."""

    def __init__(self, address: object) -> None:
        #: A host's name is looked up at the first step, without blocking the loop.
        self._address = address if isinstance(address, str) else full(address)
        self._is_open = False

    def __aiter__(self) -> Requests:
        return self

    async def __anext__(self) -> _meshzero.Request:
        while True:
            try:
                # Opened by the first wait, if it was not before; once closed, it stays closed.
                wait = None if self._is_open else 0.0
                self._address, _ = await _task.whole(self._address)
                request = await next_request(self._address, wait, self._is_open)
            except Closed:
                raise StopAsyncIteration from None
            self._is_open = True
            if request is not None:
                return request

    def __await__(self) -> Generator[Any, None, Requests]:
        """Returns itself, so that it can be awaited like the verbs."""
        return self
        yield


class News(RestartableCoroutine):
    """A subscription: an asynchronous iterator of (topic, data), and a context manager. Returned by `listen`.

    When it is closed, or the program leaves the mesh, every iteration ends.
    """

    def __init__(
        self, address: object, prefix: str | Sequence[str] = EVERYTHING, wait_for_s: float | _Forever = FOREVER
    ) -> None:
        addresses = address if isinstance(address, (list, tuple)) else [address]
        prefixes = [prefix] if isinstance(prefix, str) else list(prefix)
        self._wait = seconds(wait_for_s)
        self._addresses = [one if isinstance(one, str) else full(one) for one in addresses]
        self._prefixes = prefixes
        self._listener: _meshzero.Listener | None = None
        self._is_confirmed = False
        self._is_closed = False
        if all(map(_meshzero.is_exact, self._addresses)):
            self._begin(self._addresses)
        #: The number of items that were dropped because this program did not take them for too long.
        self.missed = 0

    def __await__(self) -> Generator[Any, None, News]:
        """Returns itself, once every connected publisher has confirmed."""
        yield from self._confirmed().__await__()
        return self

    def _begin(self, addresses: list[str]) -> _meshzero.Listener:
        """Returns the subscription, begun now if it was not."""
        if self._listener is None:
            self._listener = _meshzero.Listener(addresses, self._prefixes)
            if self._is_closed:
                self._listener.close()
        return self._listener

    async def _confirmed(self) -> _meshzero.Listener:
        """Returns the subscription, once every connected publisher has confirmed."""
        # Hosts are looked up without blocking the loop.
        listener = self._listener or self._begin([(await _task.whole(one))[0] for one in self._addresses])
        await _task.run(listener.confirmed_async())
        self._is_confirmed = True
        return listener

    def __aiter__(self) -> News:
        return self

    async def __anext__(self) -> tuple[str, Any]:
        while True:
            try:
                listener = self._listener
                if listener is None or not self._is_confirmed:
                    listener = await self._confirmed()
                news: tuple[str, Any] | None = await _task.run(listener.next_async(self._wait))
            except MissedNews as missed:
                self.missed += missed.count
                continue
            except Closed:
                raise StopAsyncIteration from None
            if news is None:
                raise StopAsyncIteration
            return news

    async def __aenter__(self) -> News:
        return await self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the subscription, and every iteration over it."""
        self._is_closed = True
        if self._listener is not None:
            self._listener.close()
