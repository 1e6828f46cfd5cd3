"""As `networkzero.discovery`."""

from . import config, core  # noqa: F401
from .._verbs import advertise, discover, discover_all, discover_group, unadvertise  # noqa: F401


def reset_beacon():
    """There is no beacon, so there is nothing to do."""
