"""Hints to the user about names that were not found, rate-limited for each name."""

from __future__ import annotations

import sys
from time import monotonic

#: The seconds in which a name is not reported again, as for a program that searches for it in a loop.
PAUSE = 10.0

#: The most names that are remembered; the oldest is dropped for another.
NAMES = 64

_told: dict[str, float] = {}


def warn(name: str, text: str) -> None:
    """Logs a warning, which Python shows on standard error unless the program has configured logging.

    Imports nothing, because Python loses a Ctrl-C that arrives during an import. A program that has not imported `logging`
    has not configured it.
    """
    now = monotonic()
    told = _told.pop(name, None)
    if told is not None and now < told + PAUSE:
        _told[name] = told
        return
    while len(_told) >= NAMES:
        _told.pop(next(iter(_told)), None)
    _told[name] = now
    get_logger = getattr(sys.modules.get("logging"), "getLogger", None)
    if get_logger is not None:
        get_logger("meshzero").warning("%s", text)
        return
    try:
        print(text, file=sys.stderr, flush=True)
    except Exception:
        # There may be no standard error.
        pass
