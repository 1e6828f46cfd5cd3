"""The verbs for asyncio. They do not block the event loop, and cancelling a task ends its wait.

::

    import asyncio
    from meshzero import aio

    async def main():
        hello = await aio.discover("hello")
        print(await aio.send_message_to(hello, "World"))

    asyncio.run(main())

A wait that is cancelled, by `asyncio.wait_for` for example, loses nothing: a message or item that had arrived and was not returned
comes first the next time.

Every verb can be awaited, and be passed to `asyncio.create_task`, `gather` and `wait_for`. Verbs that have their result at once need
not be awaited: `address`, `advertise` without `fail_if_exists`, `unadvertise`, and `send_news_to`. Those are plain calls that take a
few milliseconds at most when a new address is opened, and when the first verb of a program joins the mesh. Verbs that have to be
awaited look up a host's name without blocking the loop.
"""

from __future__ import annotations

from . import _meshzero, _task, _verbs
from ._config import ADVERT_TTL_S, EVERYTHING, FOREVER, seconds
from ._thread_state import ThreadState
from ._errors import Closed, MissedNews, NetworkZeroError, Refused
from ._ready import Background, BackgroundFlag, ReadyFlag, ReadyNone, ReadyText
from ._remote import PATIENCE, written
from ._streams import News, Requests, next_request
from ._verbs import LOOK_FOR_OTHERS, as_lists, full

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Awaitable, Callable, Coroutine, Iterable, Literal, Sequence, overload

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


def address(address: str | int | None = None) -> ReadyText:
    """Like `meshzero.address`. Need not be awaited."""
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
    """Like `meshzero.advertise`. Need not be awaited, except with `fail_if_exists`."""
    return _advertise_new(name, address) if fail_if_exists else ReadyText(_advertise(name, address))


def _advertise(name: str, address: str | int | None) -> str:
    return _meshzero.begin_advertise(name, None if address is None else str(address))


async def _advertise_new(name: str, address: str | int | None) -> str | None:
    _meshzero.check_name(name)
    if await _task.look(_meshzero.discover_async, name, LOOK_FOR_OTHERS) is not None:
        return None
    return _advertise(name, address)


def unadvertise(name: str) -> ReadyFlag | BackgroundFlag:
    """Like `meshzero.unadvertise`. Need not be awaited.

    Messages that were taken can still be replied to: the address is free once this has been awaited. If it is not awaited, the
    result is an int that equals True or False but is neither: write `if aio.unadvertise(name)`, or await it for a bool.
    """
    was_there, closing = _meshzero.begin_unadvertise(name)
    if closing is None:
        return ReadyFlag(was_there)
    return BackgroundFlag.of(was_there, lambda: _task.background(_task.run(closing)))


async def discover(name: str, wait_for_s: float | _Forever = 60) -> str | None:
    """Like `meshzero.discover`."""
    found: str | None = await _task.look(_meshzero.discover_async, name, seconds(wait_for_s))
    return found


async def discover_all(wait_for_s: float | _Forever = 60) -> list[list[str]] | None:
    """Like `meshzero.discover_all`."""
    return as_lists(await _task.run(_meshzero.discover_all_async(seconds(wait_for_s))))


async def discover_group(
    group: str, separator: str = "/", exclude: Iterable[str] | None = None
) -> list[tuple[str, str]]:
    """Like `meshzero.discover_group`."""
    awaitable = _meshzero.discover_group_async(group, separator, list(exclude or ()), 0.0)
    members: list[tuple[str, str]] = await _task.run(awaitable)
    return members


async def send_message_to(
    address: object, message: object = None, wait_for_reply_s: float | _Forever = FOREVER
) -> Any:
    """Like `meshzero.send_message_to`. Cancelling a call cancels it at the other end as well."""
    return await _call(address, message, None, seconds(wait_for_reply_s, "wait_for_reply_s"))


async def _call(address: object, message: object, name: str | None, wait: float | None) -> Any:
    whole, left = await _task.whole(address, wait)
    return await _task.run(_meshzero.call_async(whole, message, name, left))


def wait_for_message_from(
    address: object, wait_for_s: float | _Forever = FOREVER, autoreply: bool = False
) -> Coroutine[Any, Any, Any]:
    """Like `meshzero.wait_for_message_from`; the task that called this replies.

    One task may have several such waits in progress, as in `asyncio.gather`: `send_reply_to` replies to their messages in the order
    in which they began. A wait begins when it is first awaited, or, without a full address, once that has been looked up. Use
    `requests` to reply in another order.
    """
    return _take_message(_task.current(), address, wait_for_s, autoreply)


async def _take_message(
    state: ThreadState | None, address: object, wait_for_s: float | _Forever, autoreply: bool
) -> Any:
    state = _task.require(state)
    whole, wait = await _task.whole(address, seconds(wait_for_s))
    state.begin_wait(whole)
    try:
        request = await _task.in_turn(state, whole, wait, lambda left: next_request(whole, left, False))
        if request is None:
            return None
        if autoreply:
            request.reply(None)
        else:
            state.unanswered.setdefault(whole, []).append(request)
        return request.message
    finally:
        state.end_wait(whole)


def send_reply_to(address: object, reply: object = None) -> Coroutine[Any, Any, None]:
    """Like `meshzero.send_reply_to`."""
    return _reply(_task.current(), address, reply)


async def _reply(state: ThreadState | None, address: object, reply: object) -> None:
    state = _task.require(state)
    whole, _ = await _task.whole(address)
    request = state.next_unanswered(whole)
    if request is None:
        raise NetworkZeroError("this task has taken no message at %s to reply to" % whole)
    request.reply(reply)


def requests(address: object) -> Requests:
    """Returns an iterator of the messages to an address of this program, each with its own `reply`, so that several can be
    handled at once::

    async for request in aio.requests(address):
        request.reply("you said: " + request.message)
    """
    return Requests(address)


def send_news_to(address: object, topic: str, data: object = None) -> Awaitable[None]:
    """Like `meshzero.send_news_to`. Need not be awaited.

    Waits in the background for a subscriber that has to be waited for, and for the lookup of a host. A program that does not await
    this is not delayed by slow subscribers, and items that it sends meanwhile may overtake those that wait.
    """
    if not _task.is_running():
        _verbs.send_news_to(address, topic, data)
        return ReadyNone()
    at = address if isinstance(address, str) else full(address)
    if not _meshzero.is_exact(at):
        return Background(_task.background(_publish_there(at, topic, data)))
    awaitable = _meshzero.publish_async(at, topic, data)
    return ReadyNone() if awaitable is None else Background(_task.background(_task.run(awaitable)))


async def _publish_there(host: str, topic: str, data: object) -> None:
    at, _ = await _task.whole(host)
    awaitable = _meshzero.publish_async(at, topic, data)
    if awaitable is not None:
        await _task.run(awaitable)


def wait_for_news_from(
    address: object,
    prefix: str | Sequence[str] = EVERYTHING,
    wait_for_s: float | _Forever = FOREVER,
    is_raw: bool = False,
) -> Coroutine[Any, Any, tuple[str | None, Any]]:
    """Like `meshzero.wait_for_news_from`; each task that calls this has a subscription of its own.

    Waits of one task for the same news, as in `asyncio.gather`, share a subscription: each item goes to one of them.
    """
    return _next_news(_task.current(), address, prefix, wait_for_s)


async def _next_news(
    state: ThreadState | None, address: object, prefix: str | Sequence[str], wait_for_s: float | _Forever
) -> tuple[str | None, Any]:
    state = _task.require(state)
    wait = seconds(wait_for_s)
    time = _task.Deadline(wait)
    if isinstance(address, (list, tuple)):
        listener = state.listener(tuple([(await _task.whole(one))[0] for one in address]), prefix)
    else:
        listener = state.listener((await _task.whole(address))[0], prefix)
    while True:
        try:
            return await _task.run(listener.next_async(wait)) or (None, None)
        except MissedNews:
            wait = time.left()
        except Closed:
            state.forget(listener)
            raise


def listen(
    address: object, prefix: str | Sequence[str] = EVERYTHING, wait_for_s: float | _Forever = FOREVER
) -> News:
    """Like `meshzero.listen`, for `async for`. It has subscribed once it has been awaited or entered; otherwise the first step of
    the iteration waits for that::

        async with aio.listen(weather, "wind") as news:
            async for topic, data in news:
                print(topic, data)
    """
    return News(address, prefix, wait_for_s)


class Remote:
    """Like the service that `meshzero.find` returns, to be awaited: `await arm.Move(x=1.0)`. Returned by `find`."""

    def __init__(self, address: object, wait_for_reply_s: float | _Forever | None = PATIENCE) -> None:
        #: The address of the service: "ip:port".
        self.address = full(address)
        self._wait = seconds(wait_for_reply_s, "wait_for_reply_s")

    def waiting(self, wait_for_reply_s: float | _Forever) -> Remote:
        """Returns the same service with another timeout for each reply: seconds, or `meshzero.FOREVER`."""
        return Remote(self.address, wait_for_reply_s)

    async def send(self, name: str | None, message: object = None) -> Any:
        """Sends a message under a name; None for a message without a name."""
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
    """Like `meshzero.find`."""
    wait_for_reply = seconds(wait_for_reply_s, "wait_for_reply_s")
    address: str = await _task.look(_meshzero.find_async, name, seconds(wait_for_s))
    return Remote(address, wait_for_reply)
