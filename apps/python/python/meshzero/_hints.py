"""Hints to the user about names that nobody has: each name once in a while."""

from __future__ import annotations

import sys
from time import monotonic

#: Seconds for which a name is not warned of again, as in a program that looks for it in a loop.
PAUSE = 10.0

#: Names that are remembered; the oldest makes room.
NAMES = 64

_told: dict[str, float] = {}


def warn(name: str, text: str) -> None:
    """Says it in Python's log, which shows it on standard error unless the program has chosen otherwise.

    Nothing is imported for it: Python loses a Ctrl-C that comes during an import. A program that has not imported `logging`
    has chosen nothing.
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
        # Without standard error there is nobody to tell.
        pass
