"""The waits for asyncio: the same verbs, to be awaited. No event loop is held up, and cancelling a task ends its wait.

::

    import asyncio
    from meshzero import aio

    async def main():
        hello = await aio.discover("hello")
        print(await aio.send_message_to(hello, "World"))

    asyncio.run(main())
"""

from __future__ import annotations

import asyncio
import weakref

from . import _meshzero
from ._config import EVERYTHING, FOREVER, seconds
from ._desk import Desk
from ._errors import Closed, MissedNews, NetworkZeroError, Refused
from ._remote import PATIENCE, written
from ._verbs import address, advertise, as_lists, full, send_news_to, unadvertise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, AsyncIterator, Callable, Coroutine, Sequence

    from ._config import _Forever

__all__ = [
    "address",
    "advertise",
    "discover",
    "discover_all",
    "find",
    "listen",
    "requests",
    "send_message_to",
    "send_news_to",
    "send_reply_to",
    "unadvertise",
    "wait_for_message_from",
    "wait_for_news_from",
]

_desks: weakref.WeakKeyDictionary[object, Desk] = weakref.WeakKeyDictionary()


def _desk() -> Desk:
    """What is before the task that runs: tasks share a thread, and not its messages."""
    return _desks.setdefault(asyncio.current_task(), Desk())


async def _run(later: _meshzero.Later) -> Any:
    """Waits for something native. When this is cancelled, so is that."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def finish(value: object, error: BaseException | None) -> None:
        if not future.done():
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(error)

    def done(value: object, error: BaseException | None) -> None:
        # On another thread. A loop that has been closed has nobody who waits.
        if not loop.is_closed():
            loop.call_soon_threadsafe(finish, value, error)

    later.start(done)
    try:
        return await future
    finally:
        later.cancel()


async def discover(name: str, wait_for_s: float | _Forever = 60) -> str | None:
    """As `meshzero.discover`."""
    found: str | None = await _run(_meshzero.discover_later(name, seconds(wait_for_s)))
    return found


async def discover_all(wait_for_s: float | _Forever = 60) -> list[list[str]] | None:
    """As `meshzero.discover_all`."""
    return as_lists(await _run(_meshzero.discover_all_later(seconds(wait_for_s))))


async def send_message_to(
    address: object, message: object = None, wait_for_reply_s: float | _Forever = FOREVER
) -> Any:
    """As `meshzero.send_message_to`. A call that is cancelled is given up at the other end as well."""
    return await _call(address, message, None, wait_for_reply_s)


async def _call(address: object, message: object, name: str | None, wait: float | _Forever) -> Any:
    return await _run(_meshzero.call_later(full(address), message, name, seconds(wait)))


async def wait_for_message_from(
    address: object, wait_for_s: float | _Forever = FOREVER, autoreply: bool = False
) -> Any:
    """As `meshzero.wait_for_message_from`; the task that waited replies."""
    address = full(address)
    in_hand = _desk().in_hand
    in_hand.pop(address, None)
    request = await _run(_meshzero.next_request_later(address, seconds(wait_for_s), False))
    if request is None:
        return None
    if autoreply:
        request.reply(None)
    else:
        in_hand[address] = request
    return request.message


async def send_reply_to(address: object, reply: object = None) -> None:
    """As `meshzero.send_reply_to`."""
    address = full(address)
    request = _desk().in_hand.pop(address, None)
    if request is None:
        raise NetworkZeroError("this task has taken no message at %s to reply to" % address)
    request.reply(reply)


async def requests(address: object) -> AsyncIterator[_meshzero.Request]:
    """The messages to an address of this program, each with its way back, so that several may be under way::

        async for request in aio.requests(address):
            request.reply("you said: " + request.message)
    """
    address = full(address)
    # Listened at from now on, if it was not before; once closed, it stays so.
    first = await _run(_meshzero.next_request_later(address, 0.0, False))
    if first is not None:
        yield first
    while True:
        try:
            request = await _run(_meshzero.next_request_later(address, None, True))
        except Closed:
            return
        if request is not None:
            yield request


async def wait_for_news_from(
    address: object,
    prefix: str | Sequence[str] = EVERYTHING,
    wait_for_s: float | _Forever = FOREVER,
    is_raw: bool = False,
) -> tuple[str | None, Any]:
    """As `meshzero.wait_for_news_from`; each task listens for itself."""
    addresses = tuple(map(full, address)) if isinstance(address, (list, tuple)) else full(address)
    desk = _desk()
    listener = desk.listener(addresses, prefix)
    loop = asyncio.get_running_loop()
    wait = seconds(wait_for_s)
    end = None if wait is None else loop.time() + wait
    while True:
        try:
            return await _run(listener.next_later(wait)) or (None, None)
        except MissedNews:
            if end is not None:
                wait = max(0.0, end - loop.time())
        except Closed:
            desk.forget(listener)
            raise


class News:
    """News as they come: an asynchronous iterator of (topic, data) and context manager. Made by `listen`."""

    def __init__(
        self, address: object, prefix: str | Sequence[str] = EVERYTHING, wait_for_s: float | _Forever = FOREVER
    ) -> None:
        addresses = address if isinstance(address, (list, tuple)) else [address]
        prefixes = [prefix] if isinstance(prefix, str) else list(prefix)
        self._listener = _meshzero.Listener([full(one) for one in addresses], prefixes)
        self._wait = seconds(wait_for_s)
        #: How many items were dropped because this program did not take them for so long.
        self.missed = 0

    def __aiter__(self) -> News:
        return self

    async def __anext__(self) -> tuple[str, Any]:
        while True:
            try:
                news: tuple[str, Any] | None = await _run(self._listener.next_later(self._wait))
            except MissedNews as missed:
                self.missed += missed.count
                continue
            if news is None:
                raise StopAsyncIteration
            return news

    async def __aenter__(self) -> News:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()


def listen(
    address: object, prefix: str | Sequence[str] = EVERYTHING, wait_for_s: float | _Forever = FOREVER
) -> News:
    """As `meshzero.listen`, for `async for`."""
    return News(address, prefix, wait_for_s)


class Remote:
    """As what `meshzero.find` returns, to be awaited: `await arm.Move(x=1.0)`. Made by `find`."""

    def __init__(self, address: object, wait_for_reply_s: float | _Forever = PATIENCE) -> None:
        #: Where it is: "ip:port".
        self.address = full(address)
        self._wait = wait_for_reply_s

    def waiting(self, wait_for_reply_s: float | _Forever) -> Remote:
        """The same service, with another time for each reply: seconds, or `meshzero.FOREVER`."""
        return Remote(self.address, wait_for_reply_s)

    async def send(self, name: str | None, message: object = None) -> Any:
        """Sends a message under a name; None as the name for one without."""
        return await _call(self.address, message, name, self._wait)

    async def __call__(self, message: object = None) -> Any:
        return await self.send(None, message)

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        if name.startswith("_"):
            raise AttributeError(name)

        async def call(*message: object, **fields: object) -> Any:
            first, *others = written(name, message, fields)
            try:
                return await self.send(name, first)
            except Refused as refused:
                if refused.reason != "undecodable" or not others:
                    raise
            return await self.send(name, others[0])

        call.__name__ = call.__qualname__ = name
        return call

    def __repr__(self) -> str:
        return "<service at %s>" % self.address


async def find(
    name: str, wait_for_s: float | _Forever = 60, wait_for_reply_s: float | _Forever = PATIENCE
) -> Remote:
    """As `meshzero.find`."""
    address: str = await _run(_meshzero.find_later(name, seconds(wait_for_s)))
    return Remote(address, wait_for_reply_s)
