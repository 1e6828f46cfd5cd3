"""Like `networkzero.sockets`, as far as programs use it: there are no sockets, and the verbs work as before."""

from __future__ import annotations

from . import config, core
from .. import _verbs

__all__ = [
    "Sockets",
    "config",
    "core",
]


class Sockets:
    """The verbs as methods."""

    try_length_ms = 500

    send_message_to = staticmethod(_verbs.send_message_to)
    wait_for_message_from = staticmethod(_verbs.wait_for_message_from)
    send_reply_to = staticmethod(_verbs.send_reply_to)
    send_news_to = staticmethod(_verbs.send_news_to)
    wait_for_news_from = staticmethod(_verbs.wait_for_news_from)


_sockets = Sockets()


def __dir__() -> list[str]:
    return sorted([*__all__, "_sockets"])
