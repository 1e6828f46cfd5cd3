"""Like `networkzero.core`."""

from __future__ import annotations

import logging
import socket

from . import config
from .. import _meshzero
from .._errors import (
    AddressError,
    DifferentThreadError,
    InvalidAddressError,
    NetworkZeroError,
    NoAddressFoundError,
    SocketAlreadyExistsError,
    SocketInterruptedError,
    SocketTimedOutError,
)
from .._text import action_and_params, bytes_to_string, string_to_bytes
from .._verbs import address

__all__ = [
    "AddressError",
    "DifferentThreadError",
    "InvalidAddressError",
    "NetworkZeroError",
    "NoAddressFoundError",
    "PORT_POOL",
    "SocketAlreadyExistsError",
    "SocketInterruptedError",
    "SocketTimedOutError",
    "action_and_params",
    "address",
    "bytes_to_string",
    "config",
    "get_logger",
    "is_valid_address",
    "is_valid_ip_pattern",
    "is_valid_port",
    "split_address",
    "string_to_bytes",
]


#: The ports for addresses without one. The mesh chooses among them, because it knows those that are in use.
PORT_POOL = list(config.DYNAMIC_PORTS)

_debug_logging_enabled = False


def __dir__() -> list[str]:
    return sorted([*__all__, "_enable_debug_logging"])


def get_logger(name: str) -> logging.Logger:
    """Returns the logger of that name, at the level DEBUG."""
    logger = logging.getLogger(name)
    logger.setLevel(logging.DEBUG)
    return logger


def _enable_debug_logging() -> None:
    """Writes the logs of the mesh and of the loggers below "networkzero" to network.log in the current folder."""
    global _debug_logging_enabled
    if _debug_logging_enabled:
        return
    # Emptied once. From then on both halves only append, so that neither overwrites the other.
    open("network.log", "w").close()
    handler = logging.FileHandler("network.log", "a", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(threadName)s %(name)s %(levelname)s %(message)s"))
    handler.setLevel(logging.DEBUG)
    get_logger("networkzero").addHandler(handler)
    _meshzero.log_to("network.log")
    _debug_logging_enabled = True


def split_address(address: str) -> tuple[str, str]:
    """Splits an address into (ip, port), each of which may be empty."""
    if ":" in address:
        ip, _, port = address.partition(":")
        return ip, port
    return ("", address) if address.isdigit() else (address, "")


def is_valid_ip_pattern(ip: str) -> bool:
    """Returns whether the text is an IPv4 address, or one with wildcards."""
    try:
        socket.inet_aton(ip.replace("*", "1"))
    except OSError:
        return False
    return True


def is_valid_port(port: str | int, port_range: range = config.VALID_PORTS) -> bool:
    """Returns whether the text or number is a port."""
    try:
        return int(port) in port_range
    except ValueError:
        return False


def is_valid_address(address: str, port_range: range = config.VALID_PORTS) -> bool:
    """Returns whether the text is ip:port."""
    ip, port = split_address(address)
    return is_valid_ip_pattern(ip) and is_valid_port(port, port_range)
