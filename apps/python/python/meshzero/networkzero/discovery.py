"""As `networkzero.discovery`."""

from __future__ import annotations

from . import config, core
from .._verbs import advertise, discover, discover_all, discover_group, unadvertise

__all__ = [
    "advertise",
    "config",
    "core",
    "discover",
    "discover_all",
    "discover_group",
    "reset_beacon",
    "unadvertise",
]


def reset_beacon() -> None:
    """There is no beacon, so there is nothing to do."""
