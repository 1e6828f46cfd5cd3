"""The words that NetworkZero's programs configure themselves with."""

from __future__ import annotations

from . import _meshzero

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ENCODING = "UTF-8"


class _Forever:
    """As long as it takes."""

    def __repr__(self) -> str:
        return "<Forever>"


FOREVER = _Forever()
# Also one that a program holds from before the package was loaded again.
globals().update(_meshzero.keep("forever", {"_Forever": _Forever, "FOREVER": FOREVER}))
SHORT_WAIT = 1
EVERYTHING = ""
COMMAND_ACK = "ack"
BEACON_ADVERT_FREQUENCY_S = 2
ADVERT_TTL_S = 10 * BEACON_ADVERT_FREQUENCY_S
VALID_PORTS = range(0x10000)
DYNAMIC_PORTS = range(0xC000, 0x10000)


def seconds(wait: float | _Forever | None) -> float | None:
    """A wait as the native half takes it: seconds, or None for ever."""
    if wait is None or isinstance(wait, _Forever):
        return None
    return float(wait)
