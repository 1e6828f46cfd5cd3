"""The state of one thread, or of one asyncio task: the messages that it has to reply to, and its subscriptions."""

from __future__ import annotations

from _thread import _local

from . import _meshzero
from ._meshzero import Listener, Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import Future
    from typing import Sequence, Union

    Key = tuple[Union[str, tuple[str, ...]], Union[str, tuple[str, ...]]]

#: The most subscriptions of one thread; the least recently used one is dropped for another.
MAX_LISTENERS = 64


class ThreadState:
    """The state of one thread or task.

    A signal handler may use it in the middle of any of its methods on the same thread.
    """

    __slots__ = ("unanswered", "waits", "last", "listeners", "turns", "turn", "__weakref__")

    def __init__(self) -> None:
        #: The messages that were taken and not replied to, by address, in order.
        self.unanswered: dict[str, list[Request]] = {}
        #: The number of waits for messages in progress, by address.
        self.waits: dict[str, int] = {}
        #: The end of the last wait that a task began, by address; true if the address was closed.
        self.last: dict[str, Future[bool]] = {}
        self.listeners: dict[Key, Listener] = {}
        #: The last use of each, as a number that grows.
        self.turns: dict[Key, int] = {}
        self.turn = 0

    def begin_wait(self, address: str) -> None:
        """Begins a wait for messages. Unless another is in progress, messages that were not replied to are refused."""
        waits = self.waits.get(address, 0)
        if not waits:
            self.unanswered.pop(address, None)
        self.waits[address] = waits + 1

    def end_wait(self, address: str) -> None:
        """Ends a wait that `begin_wait` began."""
        waits = self.waits.pop(address, 0) - 1
        if waits > 0:
            self.waits[address] = waits

    def next_unanswered(self, address: str) -> Request | None:
        """Takes the message at this address that is to be replied to next."""
        requests = self.unanswered.get(address)
        if not requests:
            return None
        request = requests.pop(0)
        if not requests:
            self.unanswered.pop(address, None)
        return request

    def listener(self, address: str | Sequence[str], prefix: str | Sequence[str]) -> Listener:
        """Returns the subscription to these addresses and prefixes, begun now if there is none."""
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
        """Drops a subscription that has ended, so that the next wait subscribes again."""
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
    """A state for each thread that uses it."""

    def __init__(self) -> None:
        self.state = ThreadState()


# A thread still has to reply to its messages when the package is loaded again.
_of_thread: _PerThread = _meshzero.keep_across_reloads("thread states", _PerThread())


def of_thread() -> ThreadState:
    """Returns the state of this thread."""
    return _of_thread.state


def clear() -> None:
    """Empties the state of this thread, in a process that has just been forked."""
    _of_thread.state = ThreadState()
