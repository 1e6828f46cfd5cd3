"""As `networkzero.core`."""

from .. import _config as config  # noqa: F401
from .._errors import (  # noqa: F401
    AddressError,
    DifferentThreadError,
    InvalidAddressError,
    NetworkZeroError,
    NoAddressFoundError,
    SocketAlreadyExistsError,
    SocketInterruptedError,
    SocketTimedOutError,
)
from .._text import action_and_params, bytes_to_string, string_to_bytes  # noqa: F401
from .._verbs import address  # noqa: F401


def get_logger(name):
    """The logger of that name."""
    import logging

    return logging.getLogger(name)


def split_address(address):
    """An address as (ip, port), each of which may be empty."""
    if ":" in address:
        ip, _, port = address.partition(":")
        return ip, port
    return ("", address) if address.isdigit() else (address, "")


def is_valid_ip_pattern(ip):
    """Whether the text is an IPv4 address, or one with wildcards."""
    import socket

    try:
        socket.inet_aton(ip.replace("*", "1"))
    except OSError:
        return False
    return True


def is_valid_port(port, port_range=config.VALID_PORTS):
    """Whether the text or number is a port."""
    try:
        return int(port) in port_range
    except ValueError:
        return False


def is_valid_address(address, port_range=config.VALID_PORTS):
    """Whether the text is ip:port."""
    ip, port = split_address(address)
    return is_valid_ip_pattern(ip) and is_valid_port(port, port_range)
