"""As `networkzero.core`."""

from __future__ import annotations

import logging
import socket

from . import config
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


def get_logger(name: str) -> logging.Logger:
    """The logger of that name."""
    return logging.getLogger(name)


def split_address(address: str) -> tuple[str, str]:
    """An address as (ip, port), each of which may be empty."""
    if ":" in address:
        ip, _, port = address.partition(":")
        return ip, port
    return ("", address) if address.isdigit() else (address, "")


def is_valid_ip_pattern(ip: str) -> bool:
    """Whether the text is an IPv4 address, or one with wildcards."""
    try:
        socket.inet_aton(ip.replace("*", "1"))
    except OSError:
        return False
    return True


def is_valid_port(port: str | int, port_range: range = config.VALID_PORTS) -> bool:
    """Whether the text or number is a port."""
    try:
        return int(port) in port_range
    except ValueError:
        return False


def is_valid_address(address: str, port_range: range = config.VALID_PORTS) -> bool:
    """Whether the text is ip:port."""
    ip, port = split_address(address)
    return is_valid_ip_pattern(ip) and is_valid_port(port, port_range)
