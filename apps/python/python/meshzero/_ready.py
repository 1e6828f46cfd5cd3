"""Results that are available at once and can be awaited as well, so that every verb of `aio` can be awaited.

For asyncio each is a coroutine that ends at its first step, which `asyncio.create_task`, `gather` and `wait_for` accept. Not awaiting
one is not a mistake.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Generator, NoReturn


class _Ready(Coroutine["Any", "Any", "Any"]):
    """A coroutine that ends at its first step, any number of times."""

    __slots__ = ()

    def _result(self) -> Any:
        return None

    def __await__(self) -> Generator[Any, None, Any]:
        return self._result()
        yield

    def send(self, value: object) -> NoReturn:
        raise StopIteration(self._result())

    def throw(self, *error: Any) -> NoReturn:
        super().throw(*error)
        raise AssertionError("it has raised that")

    def close(self) -> None:
        """Does nothing: there is nothing to cancel."""


class ReadyText(_Ready, str):
    """A string."""

    __slots__ = ()

    def _result(self) -> str:
        return str(self)

    if TYPE_CHECKING:

        def __await__(self) -> Generator[Any, None, str]: ...


class ReadyFlag(_Ready, int):
    """A boolean. It equals True or False, and awaiting it returns that very one."""

    __slots__ = ()

    def _result(self) -> bool:
        return bool(self)

    def __repr__(self) -> str:
        return repr(bool(self))

    if TYPE_CHECKING:

        def __await__(self) -> Generator[Any, None, bool]: ...


class ReadyNone(_Ready):
    """None."""

    __slots__ = ()

    if TYPE_CHECKING:

        def __await__(self) -> Generator[Any, None, None]: ...


class RestartableCoroutine(Coroutine["Any", "Any", "Any"]):
    """A coroutine made of an `__await__`, which can be awaited again after its end."""

    #: The generator of an await in progress.
    _steps: Generator[Any, Any, Any] | None = None

    def send(self, value: object) -> Any:
        return self._step(lambda steps: steps.send(value))

    def throw(self, *error: Any) -> Any:
        return self._step(lambda steps: steps.throw(*error))

    def _step(self, step: Callable[[Generator[Any, Any, Any]], Any]) -> Any:
        if self._steps is None:
            self._steps = self.__await__()
        try:
            return step(self._steps)
        except BaseException:
            # It has ended, and can be awaited again.
            self._steps = None
            raise

    def close(self) -> None:
        """Does nothing: there is nothing to release."""


class Background(RestartableCoroutine):
    """A task that runs whether it is awaited or not. Cancelling the awaiting task cancels it."""

    def __init__(self, task: asyncio.Task[None]) -> None:
        self._task = task

    def __await__(self) -> Generator[Any, None, None]:
        return self._task.__await__()


class BackgroundFlag(RestartableCoroutine, int):
    """A boolean like `ReadyFlag`, of an operation that runs whether it is awaited or not."""

    _end: Callable[[], asyncio.Task[None]] | None = None
    #: The wait for the end, from the first await on, which all awaits share.
    _task: asyncio.Task[None] | None = None

    @classmethod
    def of(cls, flag: bool, end: Callable[[], asyncio.Task[None]]) -> BackgroundFlag:
        """A flag, with a function that starts the wait for the end, and is called once."""
        begun = cls(flag)
        begun._end = end
        return begun

    def __await__(self) -> Generator[Any, None, bool]:
        if self._end is not None:
            self._task, self._end = self._end(), None
        if self._task is not None:
            # Cancelling one await, as `asyncio.wait_for` does, cancels none of the others.
            yield from asyncio.shield(self._task).__await__()
        return bool(self)

    def __repr__(self) -> str:
        return repr(bool(self))
