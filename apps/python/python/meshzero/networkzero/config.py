"""Like `networkzero.config`."""

from __future__ import annotations

from .._config import (
    ADVERT_TTL_S,
    BEACON_ADVERT_FREQUENCY_S,
    COMMAND_ACK,
    DYNAMIC_PORTS,
    ENCODING,
    EVERYTHING,
    FOREVER,
    SHORT_WAIT,
    VALID_PORTS,
    _Forever,
)

__all__ = [
    "ADVERT_TTL_S",
    "BEACON_ADVERT_FREQUENCY_S",
    "COMMAND_ACK",
    "DYNAMIC_PORTS",
    "ENCODING",
    "EVERYTHING",
    "FOREVER",
    "SHORT_WAIT",
    "VALID_PORTS",
]


def __dir__() -> list[str]:
    return sorted([*__all__, "_Forever"])
