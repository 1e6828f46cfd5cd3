"""How a task of asyncio waits: for what is native, on the desk of whoever called, and for so long."""

from __future__ import annotations

import asyncio
import weakref

from . import _meshzero
from ._desk import Desk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_desks: weakref.WeakKeyDictionary[object, Desk] = weakref.WeakKeyDictionary()


def desk() -> Desk | None:
    """What is before the task that calls a verb: tasks share a thread, and not its messages. None where no task runs.

    Verbs ask for it when they are called, and not when they are awaited: before Python 3.12 `asyncio.wait_for` awaits in a
    task of its own, which has ended when its caller comes to reply.
    """
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return None
    return None if task is None else _desks.setdefault(task, Desk())


def own(called: Desk | None) -> Desk:
    """The desk of who called, or of who awaits if it was called where no task runs, as in `asyncio.run(verb())`."""
    found = called or desk()
    if found is None:
        raise RuntimeError("this is to be awaited in a task of asyncio")
    return found


async def run(later: _meshzero.Later) -> Any:
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


class Time:
    """What is left of a wait that may take several attempts, from now on."""

    def __init__(self, wait: float | None) -> None:
        self._end = None if wait is None else asyncio.get_running_loop().time() + wait

    def left(self) -> float | None:
        """Seconds, or None for ever."""
        return None if self._end is None else max(0.0, self._end - asyncio.get_running_loop().time())
