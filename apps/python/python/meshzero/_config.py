"""NetworkZero's configuration constants, and the parsing of timeouts."""

from __future__ import annotations

from . import _meshzero

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ENCODING = "UTF-8"


class _Forever:
    """The type of the timeout that never ends."""

    def __repr__(self) -> str:
        return "<Forever>"


FOREVER = _Forever()
# Includes the one that a program holds from before the package was loaded again.
globals().update(_meshzero.keep_across_reloads("forever", {"_Forever": _Forever, "FOREVER": FOREVER}))
SHORT_WAIT = 1
EVERYTHING = ""
COMMAND_ACK = "ack"
BEACON_ADVERT_FREQUENCY_S = 2
ADVERT_TTL_S = 10 * BEACON_ADVERT_FREQUENCY_S
VALID_PORTS = range(0x10000)
DYNAMIC_PORTS = range(0xC000, 0x10000)


def seconds(wait: Any, argument: str = "wait_for_s") -> float | None:
    """Converts a timeout for the native half: seconds, or None for no timeout. A negative number is zero.

    :param argument: the name of the argument, for errors
    :raises TypeError: if it is not a number
    :raises ValueError: if it is NaN
    """
    if wait is None or isinstance(wait, _Forever):
        return None
    number: float | None = None
    # Neither strings nor booleans, which Python would read as numbers: they were meant for another argument.
    if not isinstance(wait, bool) and hasattr(wait, "__float__"):
        try:
            number = float(wait)
        except OverflowError:
            # Integers and fractions are not bounded.
            number = _INFINITY if wait > 0 else 0.0
        except ValueError:
            # A decimal NaN.
            number = _INFINITY - _INFINITY
        except TypeError:
            # A complex number, before Python 3.10.
            pass
    if number is None:
        raise TypeError(_NO_WAIT % (argument, type(wait).__name__))
    if number != number:
        raise ValueError(_NO_WAIT % (argument, "NaN"))
    return None if number == _INFINITY else max(0.0, number)


_NO_WAIT = "%s is to be a number of seconds, or meshzero.FOREVER, and not %s"
_INFINITY = float("inf")
