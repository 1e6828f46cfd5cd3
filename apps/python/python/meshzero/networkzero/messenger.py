"""Like `networkzero.messenger`."""

from __future__ import annotations

from . import config, core, sockets
from .._verbs import (
    send_message_to,
    send_news_to,
    send_reply_to,
    wait_for_message_from,
    wait_for_news_from,
)

__all__ = [
    "EMPTY",
    "config",
    "core",
    "send_message_to",
    "send_news_to",
    "send_reply_to",
    "sockets",
    "wait_for_message_from",
    "wait_for_news_from",
]

EMPTY = None


def __dir__() -> list[str]:
    return sorted(__all__)
