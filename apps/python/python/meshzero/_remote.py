"""Calls of a service by the names of its messages."""

from __future__ import annotations

from . import _meshzero
from ._config import FOREVER, seconds
from ._errors import Refused
from ._verbs import _interruptible, full, look

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from ._config import _Forever

#: The default timeout of a call, in seconds.
PATIENCE = 5


def written(name: str, message: tuple[object, ...], fields: dict[str, object]) -> list[object]:
    """Converts the arguments of a call to the messages to try, one after the other while they are undecodable: one message as
    it is, or its fields. A message without fields is None for some types, and an empty dictionary for others.
    """
    if message and (fields or len(message) > 1):
        raise TypeError("%s takes one message, or the fields of one by their names" % name)
    if message:
        return [message[0]]
    return [fields] if fields else [None, {}]


class Remote:
    """A service: `service.Move(x=1.0)` sends it the message `Move` with the field `x`, and returns the reply.

    Returned by `meshzero.find`. Names that begin with an underscore, and `address`, `send` and `waiting`, are sent with
    `send`.
    """

    def __init__(self, address: object, wait_for_reply_s: float | _Forever | None = PATIENCE) -> None:
        #: The address of the service: "ip:port".
        self.address = full(address)
        self._wait = seconds(wait_for_reply_s, "wait_for_reply_s")

    def waiting(self, wait_for_reply_s: float | _Forever) -> Remote:
        """Returns the same service with another timeout for each reply: seconds, or `meshzero.FOREVER`."""
        return Remote(self.address, wait_for_reply_s)

    def send(self, name: str | None, message: object = None) -> Any:
        """Sends a message under a name; None for a message without a name."""
        return _interruptible(_meshzero.call, self.address, message, name, self._wait)

    def __call__(self, message: object = None) -> Any:
        return self.send(None, message)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)

        def call(*message: object, **fields: object) -> Any:
            first, *others = written(name, message, fields)
            try:
                return self.send(name, first)
            except Refused as refused:
                if refused.reason != "undecodable" or not others:
                    raise
            return self.send(name, others[0])

        call.__name__ = call.__qualname__ = name
        return call

    def __repr__(self) -> str:
        return "<service at %s>" % self.address


def find(
    name: str, wait_for_s: float | _Forever = 60, wait_for_reply_s: float | _Forever = PATIENCE
) -> Remote:
    """Waits until a program advertises `name`, and returns the service, to be called by the names of its messages::

        arm = meshzero.find("robot/arm")
        print(arm.Move(joint="Elbow", degrees=30))

    :raises NotSent: if no service of the name is found in time, or it does not answer; it says the likeliest cause
    """
    wait_for_reply = seconds(wait_for_reply_s, "wait_for_reply_s")
    return Remote(look(_meshzero.find, name, seconds(wait_for_s)), wait_for_reply)
