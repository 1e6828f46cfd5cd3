"""As `networkzero.config`."""

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
