"""Programs that find and call each other over a network with nothing to configure.

One program advertises a name::

    import meshzero as nw0

    address = nw0.advertise("hello")
    while True:
        name = nw0.wait_for_message_from(address)
        nw0.send_reply_to(address, "Hello, " + name)

and another one, on any computer of the same network, uses it::

    import meshzero as nw0

    hello = nw0.discover("hello")
    print(nw0.send_message_to(hello, "World"))

These are the verbs of NetworkZero, with their names, defaults and exceptions. Beyond them there are `find`, which calls
a service by the names of its messages, `serve`, which makes an object such a service, `listen`, which iterates over news,
and `meshzero.aio`, the waits for asyncio.
"""

from __future__ import annotations

import atexit as _atexit
import os as _os

from . import _config as config
from . import _meshzero
from ._config import FOREVER
from ._errors import (
    AddressError,
    CallError,
    CannotTravel,
    Closed,
    DifferentThreadError,
    InvalidAddressError,
    InvalidName,
    MissedNews,
    NetworkZeroError,
    NoAddressFoundError,
    NotSent,
    NotSentInTime,
    Refused,
    SocketAlreadyExistsError,
    SocketInterruptedError,
    SocketTimedOutError,
    TimedOut,
    Unknown,
)
from ._meshzero import close, join
from ._text import action_and_params, bytes_to_string, string_to_bytes
from ._verbs import (
    address,
    advertise,
    discover,
    discover_all,
    discover_group,
    send_message_to,
    send_news_to,
    send_reply_to,
    unadvertise,
    wait_for_message_from,
    wait_for_news_from,
)

__all__ = [
    "FOREVER",
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
    "action_and_params",
    "address",
    "advertise",
    "aio",
    "bytes_to_string",
    "close",
    "config",
    "discover",
    "discover_all",
    "discover_group",
    "find",
    "join",
    "listen",
    "send_message_to",
    "send_news_to",
    "send_reply_to",
    "serve",
    "service",
    "string_to_bytes",
    "unadvertise",
    "wait_for_message_from",
    "wait_for_news_from",
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import aio, networkzero
    from ._news import listen
    from ._remote import find
    from ._service import serve, service

# Imported on first use, because few programs need them: the first reply arrives sooner.
_LATER = {"find": "_remote", "listen": "_news", "serve": "_service", "service": "_service"}
_MODULES = ("aio", "networkzero")


def __getattr__(name: str) -> object:
    import importlib

    if name in _LATER:
        found = getattr(importlib.import_module("." + _LATER[name], __name__), name)
        globals()[name] = found
        return found
    if name in _MODULES:
        return importlib.import_module("." + name, __name__)
    raise AttributeError("module %r has no attribute %r" % (__name__, name))


def __dir__() -> list[str]:
    return sorted(__all__)


def _in_child() -> None:
    # The package may have been loaded again.
    from . import _thread_state

    _meshzero.after_fork_in_child()
    _thread_state.clear()


_is_first = _meshzero.is_first()
if _is_first:
    _atexit.register(_meshzero.end)
if _is_first and hasattr(_os, "register_at_fork"):
    _os.register_at_fork(
        before=_meshzero.before_fork,
        after_in_parent=_meshzero.after_fork_in_parent,
        after_in_child=_in_child,
    )
