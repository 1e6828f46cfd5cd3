"""As `networkzero.config`."""

from .._config import (  # noqa: F401
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
