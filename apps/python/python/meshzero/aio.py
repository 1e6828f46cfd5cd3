"""The waits for asyncio: the same verbs, to be awaited. No event loop is held up, and cancelling a task ends its wait.

::

    import asyncio
    from meshzero import aio

    async def main():
        hello = await aio.discover("hello")
        print(await aio.send_message_to(hello, "World"))

    asyncio.run(main())

A wait that is cancelled, by `asyncio.wait_for` for example, loses nothing: what had arrived and was not handed over comes
first the next time.
"""

from __future__ import annotations

import asyncio
import weakref

from . import _meshzero, _verbs
from ._config import ADVERT_TTL_S, EVERYTHING, FOREVER, seconds
from ._desk import Desk
from ._errors import Closed, MissedNews, NetworkZeroError, NotShown, Refused
from ._ready import ReadyFlag, ReadyNone, ReadyText
from ._remote import PATIENCE, written
from ._verbs import LOOK_FOR_OTHERS, as_lists, full

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Awaitable, Callable, Coroutine, Generator, Iterable, Literal, Sequence, overload

    from ._config import _Forever
else:

    def overload(function: object) -> object:
        return function


__all__ = [
    "address",
    "advertise",
    "discover",
    "discover_all",
    "discover_group",
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


def _desk() -> Desk | None:
    """What is before the task that calls a verb: tasks share a thread, and not its messages. None where no task runs.

    Verbs ask for it when they are called, and not when they are awaited: before Python 3.12 `asyncio.wait_for` awaits in a
    task of its own, which has ended when its caller comes to reply.
    """
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return None
    return None if task is None else _desks.setdefault(task, Desk())


def _own(desk: Desk | None) -> Desk:
    """The desk of who called, or of who awaits if it was called where no task runs, as in `asyncio.run(verb())`."""
    desk = desk or _desk()
    if desk is None:
        raise RuntimeError("this is to be awaited in a task of asyncio")
    return desk


async def _run(later: _meshzero.Later) -> Any:
    """Waits for something native. When this is cancelled, so is that."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not ended.done():
            ended.set_result(None)

    def done() -> None:
        # On another thread.
        try:
            loop.call_soon_threadsafe(wake)
        except RuntimeError:
            # The loop has been closed, so that nobody waits.
            pass

    later.start(done)
    try:
        await ended
        # Not before this task goes on: it may be cancelled until then.
        return later.take()
    finally:
        later.cancel()


class _Time:
    """What is left of a wait that may take several attempts, from now on."""

    def __init__(self, wait: float | None) -> None:
        self._end = None if wait is None else asyncio.get_running_loop().time() + wait

    def left(self) -> float | None:
        """Seconds, or None for ever."""
        return None if self._end is None else max(0.0, self._end - asyncio.get_running_loop().time())


def address(address: str | int | None = None) -> ReadyText:
    """As `meshzero.address`. It can be awaited, and need not be."""
    return ReadyText(_verbs.address(address))


@overload
def advertise(
    name: str, address: str | int | None = None, fail_if_exists: Literal[False] = False, ttl_s: float = ADVERT_TTL_S
) -> ReadyText: ...


@overload
def advertise(
    name: str, address: str | int | None = None, *, fail_if_exists: Literal[True], ttl_s: float = ADVERT_TTL_S
) -> Awaitable[str | None]: ...


@overload
def advertise(
    name: str, address: str | int | None, fail_if_exists: bool, ttl_s: float = ADVERT_TTL_S
) -> Awaitable[str | None]: ...


def advertise(
    name: str, address: str | int | None = None, fail_if_exists: bool = False, ttl_s: float = ADVERT_TTL_S
) -> Awaitable[str | None]:
    """As `meshzero.advertise`. It can be awaited, and with `fail_if_exists` has to be."""
    if fail_if_exists:
        return _advertise_new(name, address)
    advertised = _verbs.advertise(name, address)
    assert advertised is not None, "it may exist"
    return ReadyText(advertised)


async def _advertise_new(name: str, address: str | int | None) -> str | None:
    if await _run(_meshzero.discover_later(name, LOOK_FOR_OTHERS)) is not None:
        return None
    return _verbs.advertise(name, address)


def unadvertise(name: str) -> ReadyFlag:
    """As `meshzero.unadvertise`. It can be awaited, and need not be."""
    return ReadyFlag(_verbs.unadvertise(name))


async def discover(name: str, wait_for_s: float | _Forever = 60) -> str | None:
    """As `meshzero.discover`."""
    found: str | None = await _run(_meshzero.discover_later(name, seconds(wait_for_s)))
    return found


async def discover_all(wait_for_s: float | _Forever = 60) -> list[list[str]] | None:
    """As `meshzero.discover_all`."""
    return as_lists(await _run(_meshzero.discover_all_later(seconds(wait_for_s))))


async def discover_group(
    group: str, separator: str = "/", exclude: Iterable[str] | None = None
) -> list[tuple[str, str]]:
    """As `meshzero.discover_group`."""
    later = _meshzero.discover_group_later(group, separator, list(exclude or ()), 0.0)
    members: list[tuple[str, str]] = await _run(later)
    return members


async def send_message_to(
    address: object, message: object = None, wait_for_reply_s: float | _Forever = FOREVER
) -> Any:
    """As `meshzero.send_message_to`. A call that is cancelled is given up at the other end as well."""
    return await _call(address, message, None, wait_for_reply_s)


async def _call(address: object, message: object, name: str | None, wait: float | _Forever) -> Any:
    return await _run(_meshzero.call_later(full(address), message, name, seconds(wait)))


def wait_for_message_from(
    address: object, wait_for_s: float | _Forever = FOREVER, autoreply: bool = False
) -> Coroutine[Any, Any, Any]:
    """As `meshzero.wait_for_message_from`; the task that called this replies."""
    return _take_message(_desk(), address, wait_for_s, autoreply)


async def _take_message(
    desk: Desk | None, address: object, wait_for_s: float | _Forever, autoreply: bool
) -> Any:
    address = full(address)
    in_hand = _own(desk).in_hand
    in_hand.pop(address, None)
    request = await _next_request(address, seconds(wait_for_s), False)
    if request is None:
        return None
    if autoreply:
        request.reply(None)
    else:
        in_hand[address] = request
    return request.message


async def _next_request(address: str, wait: float | None, if_open: bool) -> _meshzero.Request | None:
    time = _Time(wait)
    while True:
        try:
            request: _meshzero.Request | None = await _run(_meshzero.next_request_later(address, wait, if_open))
            return request
        except NotShown:
            wait = time.left()


def send_reply_to(address: object, reply: object = None) -> Coroutine[Any, Any, None]:
    """As `meshzero.send_reply_to`."""
    return _reply(_desk(), address, reply)


async def _reply(desk: Desk | None, address: object, reply: object) -> None:
    address = full(address)
    request = _own(desk).in_hand.pop(address, None)
    if request is None:
        raise NetworkZeroError("this task has taken no message at %s to reply to" % address)
    request.reply(reply)


class Requests:
    """Messages as they come: an asynchronous iterator that ends when the address is closed. Made by `requests`."""

    def __init__(self, address: object) -> None:
        self._address = full(address)
        self._is_open = False

    def __aiter__(self) -> Requests:
        return self

    async def __anext__(self) -> _meshzero.Request:
        while True:
            try:
                # Listened at from the first wait on, if it was not before; once closed, it stays so.
                wait = None if self._is_open else 0.0
                request = await _next_request(self._address, wait, self._is_open)
            except Closed:
                raise StopAsyncIteration from None
            self._is_open = True
            if request is not None:
                return request

    def __await__(self) -> Generator[Any, None, Requests]:
        """Itself, so that it can be awaited as the verbs can."""
        return self
        yield


def requests(address: object) -> Requests:
    """The messages to an address of this program, each with its way back, so that several may be under way::

    async for request in aio.requests(address):
        request.reply("you said: " + request.message)
    """
    return Requests(address)


def send_news_to(address: object, topic: str, data: object = None) -> ReadyNone:
    """As `meshzero.send_news_to`. It can be awaited, and need not be."""
    _verbs.send_news_to(address, topic, data)
    return ReadyNone()


def wait_for_news_from(
    address: object,
    prefix: str | Sequence[str] = EVERYTHING,
    wait_for_s: float | _Forever = FOREVER,
    is_raw: bool = False,
) -> Coroutine[Any, Any, tuple[str | None, Any]]:
    """As `meshzero.wait_for_news_from`; each task listens for itself."""
    return _next_news(_desk(), address, prefix, wait_for_s)


async def _next_news(
    desk: Desk | None, address: object, prefix: str | Sequence[str], wait_for_s: float | _Forever
) -> tuple[str | None, Any]:
    addresses = tuple(map(full, address)) if isinstance(address, (list, tuple)) else full(address)
    desk = _own(desk)
    listener = desk.listener(addresses, prefix)
    wait = seconds(wait_for_s)
    time = _Time(wait)
    while True:
        try:
            return await _run(listener.next_later(wait)) or (None, None)
        except MissedNews:
            wait = time.left()
        except Closed:
            desk.forget(listener)
            raise


class News:
    """News as they come: an asynchronous iterator of (topic, data) and context manager. Made by `listen`.

    When it is closed, or the program leaves the mesh, every iteration ends.
    """

    def __init__(
        self, address: object, prefix: str | Sequence[str] = EVERYTHING, wait_for_s: float | _Forever = FOREVER
    ) -> None:
        addresses = address if isinstance(address, (list, tuple)) else [address]
        prefixes = [prefix] if isinstance(prefix, str) else list(prefix)
        self._listener = _meshzero.Listener([full(one) for one in addresses], prefixes)
        self._wait = seconds(wait_for_s)
        #: How many items were dropped because this program did not take them for so long.
        self.missed = 0

    def __await__(self) -> Generator[Any, None, News]:
        """Itself, once every publisher that is there has confirmed."""
        yield from _run(self._listener.confirmed_later()).__await__()
        return self

    def __aiter__(self) -> News:
        return self

    async def __anext__(self) -> tuple[str, Any]:
        while True:
            try:
                news: tuple[str, Any] | None = await _run(self._listener.next_later(self._wait))
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
        self._listener.close()


def listen(
    address: object, prefix: str | Sequence[str] = EVERYTHING, wait_for_s: float | _Forever = FOREVER
) -> News:
    """As `meshzero.listen`, for `async for`. It has subscribed once it has been awaited, or entered::

        async with aio.listen(weather, "wind") as news:
            async for topic, data in news:
                print(topic, data)
    """
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
