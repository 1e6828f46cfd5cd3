"""As `networkzero.messenger`."""

from . import config, core, sockets  # noqa: F401
from .._verbs import (  # noqa: F401
    send_message_to,
    send_news_to,
    send_reply_to,
    wait_for_message_from,
    wait_for_news_from,
)

EMPTY = None
