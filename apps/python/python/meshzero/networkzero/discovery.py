"""Like `networkzero.discovery`."""

from __future__ import annotations

import time

from . import config, core, sockets
from .._config import _Forever
from .._verbs import advertise, discover, discover_all, discover_group
from .._verbs import unadvertise as _unadvertise

__all__ = [
    "Continue",
    "Empty",
    "advertise",
    "config",
    "core",
    "discover",
    "discover_all",
    "discover_group",
    "reset_beacon",
    "sockets",
    "timed_out",
]

Continue = object()
Empty = object()


def __dir__() -> list[str]:
    return sorted([*__all__, "_unadvertise"])


def timed_out(started_at: float, wait_for_s: float | _Forever) -> bool:
    """Returns whether a wait that began at `started_at`, by `time.time`, is over."""
    return not isinstance(wait_for_s, _Forever) and time.time() > started_at + wait_for_s


def reset_beacon() -> None:
    """Does nothing, because there is no beacon."""
