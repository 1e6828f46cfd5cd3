"""Results that are there already and can be awaited as well, so that every verb of `aio` can be."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Generator


class ReadyText(str):
    """A text."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, str]:
        return str(self)
        yield


class ReadyFlag(int):
    """A truth value."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(bool(self))

    def __await__(self) -> Generator[Any, None, bool]:
        return bool(self)
        yield


class ReadyNone:
    """Nothing."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, None]:
        return None
        yield
