"""The exceptions: NetworkZero's, and those of calls without a reply, derived from them."""

from __future__ import annotations

from . import _meshzero

__all__ = [
    "AddressError",
    "CallError",
    "CannotTravel",
    "Closed",
    "DifferentThreadError",
    "InvalidAddressError",
    "InvalidName",
    "MissedNews",
    "NetworkZeroError",
    "NoAddressFoundError",
    "NotSent",
    "NotSentInTime",
    "Refused",
    "SocketAlreadyExistsError",
    "SocketInterruptedError",
    "SocketTimedOutError",
    "TimedOut",
    "Unknown",
]


class NetworkZeroError(Exception):
    """The base of all exceptions of this package. Whatever it is, every verb can be used again afterwards."""


class SocketAlreadyExistsError(NetworkZeroError):
    """Never raised here: any number of threads may use one address."""


class SocketTimedOutError(NetworkZeroError):
    """No reply arrived in time."""

    def __init__(self, n_seconds: float, message: str | None = None) -> None:
        super().__init__(n_seconds)
        self.n_seconds = n_seconds
        self._message = message

    def __str__(self) -> str:
        return self._message or "Gave up waiting after %s seconds" % self.n_seconds


class SocketInterruptedError(NetworkZeroError, KeyboardInterrupt):
    """Ctrl-C ended a wait. Everything can be used again, and no message or item is lost."""

    def __init__(self, after_n_seconds: float) -> None:
        super().__init__(after_n_seconds)
        self.after_n_seconds = after_n_seconds

    def __str__(self) -> str:
        return "Interrupted after %.1f seconds" % self.after_n_seconds


class AddressError(NetworkZeroError):
    """The address is not available: it is in use, or not of this computer."""


class NoAddressFoundError(AddressError):
    """No address of this computer matches the request."""


class InvalidAddressError(AddressError):
    """The text is not an address, or the host is unknown. (NetworkZero raises an `AddressError` for some of these.)"""

    def __init__(self, address: object, errno: int | None = None, problem: str | None = None) -> None:
        super().__init__(address, errno)
        self.address = address
        self.errno = errno
        self._problem = problem

    def __str__(self) -> str:
        text = "%s is not a valid address" % (self.address,)
        if self._problem:
            text += ": " + self._problem
        if self.errno:
            text += "; the system returned an error of %d" % self.errno
        return text


class InvalidName(NetworkZeroError, ValueError):
    """The text is not a valid name of a service, a mesh or a message, or not a valid topic: it is empty, too long, has control
    characters, or is an address, which a search would take for that address."""


class DifferentThreadError(NetworkZeroError):
    """Never raised here: threads may share addresses."""


class CannotTravel(NetworkZeroError, TypeError):
    """An object cannot be sent. The message says which one, and its place."""


class Closed(NetworkZeroError):
    """The address was closed, or the program left the mesh, during a wait."""


class MissedNews(NetworkZeroError):
    """Items were dropped because this program did not take them for too long. Later ones will arrive."""

    def __init__(self, count: int, message: str | None = None) -> None:
        super().__init__(count)
        self.count = count
        self._message = message

    def __str__(self) -> str:
        return self._message or "%s items were missed" % self.count


class NotConvertible(NetworkZeroError):
    """A message arrived that cannot be converted to a Python object, and was refused. The wait continues; programs never see this."""


class CallError(NetworkZeroError):
    """A call ended without a reply, in one of three ways."""

    #: True if the message was certainly not handled, so that it is safe to send it again.
    is_safe_to_repeat = False


class NotSent(CallError):
    """The message was certainly not handled."""

    is_safe_to_repeat = True


class NotSentInTime(SocketTimedOutError, NotSent):
    """The timeout passed before the message was sent."""


class Unknown(CallError):
    """The message may have been handled, or may still be."""


class TimedOut(SocketTimedOutError, Unknown):
    """No reply arrived in time. The message may have been handled."""


class Refused(CallError):
    """The service answered that it has no reply."""

    def __init__(
        self, message: str, reason: str = "other", is_safe_to_repeat: bool = False, handles: list[str] | None = None
    ) -> None:
        super().__init__(message)
        #: The reason, in a word or two: "no handler", "undecodable", "bad reply", "busy", "closing", "expired", "failed",
        #: "unanswered", "not allowed" or "other".
        self.reason = reason
        self.is_safe_to_repeat = is_safe_to_repeat
        #: With "no handler", the names of the messages that the service does handle.
        self.handles = tuple(handles or ())


# A package that is loaded again keeps the classes of the first time: programs may still hold and catch those.
globals().update(_meshzero.keep_across_reloads("errors", {name: one for name, one in globals().items() if isinstance(one, type)}))
