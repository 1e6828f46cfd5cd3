"""NetworkZero under its own name, for programs that reach into its modules.

`import meshzero.networkzero as networkzero` is all that it takes. If other modules import it as well, call
`meshzero.networkzero.stand_in()` before they do.
"""

from __future__ import annotations

from . import config, core, discovery, messenger, sockets
from .core import (
    DifferentThreadError,
    InvalidAddressError,
    NetworkZeroError,
    SocketAlreadyExistsError,
    SocketInterruptedError,
    SocketTimedOutError,
    action_and_params,
    address,
    bytes_to_string,
    string_to_bytes,
)
from .discovery import advertise, discover, discover_all, discover_group
from .messenger import (
    send_message_to,
    send_news_to,
    send_reply_to,
    wait_for_message_from,
    wait_for_news_from,
)

__all__ = [
    "DifferentThreadError",
    "InvalidAddressError",
    "NetworkZeroError",
    "SocketAlreadyExistsError",
    "SocketInterruptedError",
    "SocketTimedOutError",
    "action_and_params",
    "address",
    "advertise",
    "bytes_to_string",
    "config",
    "core",
    "discover",
    "discover_all",
    "discover_group",
    "discovery",
    "messenger",
    "send_message_to",
    "send_news_to",
    "send_reply_to",
    "sockets",
    "string_to_bytes",
    "wait_for_message_from",
    "wait_for_news_from",
]


def __dir__() -> list[str]:
    return sorted(__all__)


def stand_in() -> None:
    """Makes every `import networkzero` of this program import this module."""
    import sys

    sys.modules["networkzero"] = sys.modules[__name__]
    for module in (config, core, discovery, messenger, sockets):
        sys.modules["networkzero." + module.__name__.rpartition(".")[2]] = module
