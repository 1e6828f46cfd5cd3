"""What one thread, or one task of asyncio, has before it: the messages it owes a reply, and the news it listens to."""

from __future__ import annotations

from _thread import _local

from ._meshzero import Listener, Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence, Union

    Key = tuple[Union[str, tuple[str, ...]], Union[str, tuple[str, ...]]]

#: Subscriptions that one thread keeps; the one that was waited for least recently makes room.
LISTENERS = 64


class Desk:
    """The place of one thread or task.

    A signal handler may use it in the middle of anything that its own thread does here.
    """

    __slots__ = ("in_hand", "listeners", "turns", "turn", "__weakref__")

    def __init__(self) -> None:
        self.in_hand: dict[str, Request] = {}
        self.listeners: dict[Key, Listener] = {}
        #: When each was last waited for, as a number that grows.
        self.turns: dict[Key, int] = {}
        self.turn = 0

    def listener(self, address: str | Sequence[str], prefix: str | Sequence[str]) -> Listener:
        """The subscription to these addresses and prefixes, begun now if there is none."""
        key = (_words(address), _words(prefix))
        listener = self.listeners.get(key)
        if listener is None:
            if len(self.listeners) >= LISTENERS:
                self._drop(min(self.turns, key=self.turns.__getitem__, default=key))
            listener = self.listeners.setdefault(key, Listener(_listed(key[0]), _listed(key[1])))
        self.turn += 1
        self.turns[key] = self.turn
        return listener

    def _drop(self, key: Key) -> None:
        self.turns.pop(key, None)
        listener = self.listeners.pop(key, None)
        if listener is not None:
            listener.close()

    def forget(self, listener: Listener) -> None:
        """Drops what has ended, so that the next wait subscribes anew."""
        for key, kept in list(self.listeners.items()):
            if kept is listener:
                self._drop(key)


def _words(one_or_several: str | Sequence[str]) -> str | tuple[str, ...]:
    if isinstance(one_or_several, str):
        return one_or_several
    return tuple(str(one) for one in one_or_several)


def _listed(one_or_several: str | tuple[str, ...]) -> list[str]:
    return [one_or_several] if isinstance(one_or_several, str) else list(one_or_several)


class _OfThread(_local):
    """Made anew for each thread that looks."""

    def __init__(self) -> None:
        self.desk = Desk()


_of_thread = _OfThread()


def of_thread() -> Desk:
    """The desk of this thread."""
    return _of_thread.desk


def clear() -> None:
    """A desk that is empty, in a process that has just been forked."""
    _of_thread.desk = Desk()
