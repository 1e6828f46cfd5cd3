"""The state of one thread, or of one task of asyncio: the messages it owes a reply, and the news it listens to."""

from __future__ import annotations

from _thread import _local

from . import _meshzero
from ._meshzero import Listener, Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import Future
    from typing import Sequence, Union

    Key = tuple[Union[str, tuple[str, ...]], Union[str, tuple[str, ...]]]

#: Subscriptions that one thread keeps; the one that was waited for least recently makes room.
MAX_LISTENERS = 64


class ThreadState:
    """The place of one thread or task.

    A signal handler may use it in the middle of anything that its own thread does here.
    """

    __slots__ = ("unanswered", "waits", "last", "listeners", "turns", "turn", "__weakref__")

    def __init__(self) -> None:
        #: The messages that were taken and not replied to, by their addresses, in order.
        self.unanswered: dict[str, list[Request]] = {}
        #: Waits for messages that are under way, by their addresses.
        self.waits: dict[str, int] = {}
        #: The end of the last of them that a task began, by their addresses; true if the address was closed.
        self.last: dict[str, Future[bool]] = {}
        self.listeners: dict[Key, Listener] = {}
        #: When each was last waited for, as a number that grows.
        self.turns: dict[Key, int] = {}
        self.turn = 0

    def begin_wait(self, address: str) -> None:
        """Notes a wait for messages. Unless another is under way, senders that were left without a reply are told so."""
        waits = self.waits.get(address, 0)
        if not waits:
            self.unanswered.pop(address, None)
        self.waits[address] = waits + 1

    def end_wait(self, address: str) -> None:
        """The end of what `begin_wait` began."""
        waits = self.waits.pop(address, 0) - 1
        if waits > 0:
            self.waits[address] = waits

    def next_unanswered(self, address: str) -> Request | None:
        """The message at this address that is to be replied to next."""
        requests = self.unanswered.get(address)
        if not requests:
            return None
        request = requests.pop(0)
        if not requests:
            self.unanswered.pop(address, None)
        return request

    def listener(self, address: str | Sequence[str], prefix: str | Sequence[str]) -> Listener:
        """The subscription to these addresses and prefixes, begun now if there is none."""
        key = (_words(address), _words(prefix))
        listener = self.listeners.get(key)
        if listener is None:
            if len(self.listeners) >= MAX_LISTENERS:
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
        """Drops what has ended, so that the next wait subscribes again."""
        for key, kept in list(self.listeners.items()):
            if kept is listener:
                self._drop(key)


def _words(one_or_several: str | Sequence[str]) -> str | tuple[str, ...]:
    if isinstance(one_or_several, str):
        return one_or_several
    return tuple(str(one) for one in one_or_several)


def _listed(one_or_several: str | tuple[str, ...]) -> list[str]:
    return [one_or_several] if isinstance(one_or_several, str) else list(one_or_several)


class _PerThread(_local):
    """One state for each thread that asks for it."""

    def __init__(self) -> None:
        self.state = ThreadState()


# What a thread owes a reply to is owed also when the package is loaded again.
_of_thread: _PerThread = _meshzero.keep_across_reloads("thread states", _PerThread())


def of_thread() -> ThreadState:
    """The state of this thread."""
    return _of_thread.state


def clear() -> None:
    """A state that is empty, in a process that has just been forked."""
    _of_thread.state = ThreadState()
