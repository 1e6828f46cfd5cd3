"""The waits of an asyncio task: for native futures, in order, and with a timeout."""

from __future__ import annotations

import asyncio
import weakref

from . import _hints, _meshzero
from ._thread_state import ThreadState
from ._errors import Closed
from ._verbs import full

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Coroutine, TypeVar

    T = TypeVar("T")

_states: weakref.WeakKeyDictionary[object, ThreadState] = _meshzero.keep_across_reloads("task states", weakref.WeakKeyDictionary())


def is_running() -> bool:
    """Returns whether a loop runs on this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def current() -> ThreadState | None:
    """Returns the state of the task that calls a verb: tasks share a thread, but not its messages. None if no task runs.

    Verbs ask for it when they are called, and not when they are awaited: before Python 3.12 `asyncio.wait_for` awaits in a
    task of its own, which has ended by the time its caller replies.
    """
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return None
    return None if task is None else _states.setdefault(task, ThreadState())


def require(called: ThreadState | None) -> ThreadState:
    """Returns the state of the caller, or of the awaiting task if no task called the verb, as in `asyncio.run(verb())`."""
    found = called or current()
    if found is None:
        raise RuntimeError("this is to be awaited in a task of asyncio")
    return found


async def run(awaitable: _meshzero.Awaitable) -> Any:
    """Waits for a native future. Cancelling this cancels it."""
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
            # The loop has been closed, so that nothing waits.
            pass

    awaitable.start(done)
    try:
        await ended
        # Not before this task goes on: it may be cancelled until then.
        return awaitable.take()
    finally:
        awaitable.cancel()


async def look(search: Callable[[str, float | None, Callable[[str], object]], _meshzero.Awaitable], name: str, wait: float | None) -> Any:
    """Searches for a name, and reports meanwhile, on the loop's own thread, why nothing was found so far."""
    loop = asyncio.get_running_loop()

    def warn(text: str) -> None:
        # On another thread.
        try:
            loop.call_soon_threadsafe(_hints.warn, name, text)
        except RuntimeError:
            # The loop has been closed, so that nothing waits.
            pass

    return await run(search(name, wait, warn))


async def whole(address: object, wait: float | None = None) -> tuple[str, float | None]:
    """Completes an address, and returns it with the rest of the timeout. A lookup does not block the loop."""
    if isinstance(address, str) and _meshzero.is_exact(address):
        return address, wait
    if isinstance(address, (list, tuple)):
        # Which is an error.
        return full(address), wait
    time = Deadline(wait)
    found: str = await run(_meshzero.look_up_async(str(address)))
    return found, time.left()


async def in_turn(
    state: ThreadState, address: str, wait: float | None, take: Callable[[float | None], Coroutine[Any, Any, T]]
) -> T | None:
    """Takes a message at an address, after the waits that the same task began before: it replies in that order. None at the
    timeout. When the address is closed, every wait in progress ends with `Closed`: one that continued would open it again.
    """
    before, end = state.last.get(address), asyncio.get_running_loop().create_future()
    state.last[address] = end
    time, is_closed = Deadline(wait), False

    def hand_on(is_closed: bool) -> None:
        end.set_result(is_closed)
        if state.last.get(address) is end:
            del state.last[address]

    try:
        if before is not None:
            await asyncio.wait([before], timeout=wait)
            if not before.done():
                return None
            if before.result():
                raise Closed("this address has been closed")
        return await take(time.left())
    except Closed:
        is_closed = True
        raise
    finally:
        if before is None:
            hand_on(is_closed)
        elif before.done():
            hand_on(is_closed or before.result())
        else:
            # A later wait does not overtake an earlier one.
            before.add_done_callback(lambda ended: hand_on(ended.result()))


def background(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Runs a coroutine as a task that need not be awaited."""
    task = asyncio.get_running_loop().create_task(work)
    _background.add(task)
    task.add_done_callback(_background.discard)
    return task


#: Keeps the tasks alive, which a loop does not.
_background: set[asyncio.Task[Any]] = set()


class Deadline:
    """The deadline of a wait that may take several attempts, from now on."""

    def __init__(self, wait: float | None) -> None:
        self._end = None if wait is None else asyncio.get_running_loop().time() + wait

    def left(self) -> float | None:
        """Returns the seconds that are left, or None for no timeout."""
        return None if self._end is None else max(0.0, self._end - asyncio.get_running_loop().time())
