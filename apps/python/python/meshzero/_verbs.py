"""NetworkZero's verbs: blocking functions."""

from __future__ import annotations

from time import monotonic

from . import _thread_state, _hints, _meshzero
from ._config import ADVERT_TTL_S, EVERYTHING, FOREVER, seconds
from ._errors import Closed, InvalidAddressError, MissedNews, NetworkZeroError, SocketInterruptedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable, Sequence, TypeVar

    from ._config import _Forever

    T = TypeVar("T")


def full(address: object) -> str:
    """Completes an address for the native half, which needs a port, as NetworkZero does."""
    if isinstance(address, str):
        if ":" in address:
            return address
        return _meshzero.address(address)
    if isinstance(address, int):
        return _meshzero.address(str(address))
    if isinstance(address, (list, tuple)):
        raise InvalidAddressError(address, None, "several addresses are not allowed here")
    return str(address)


def _interruptible(wait: Callable[..., T], *arguments: object) -> T:
    """Waits; Ctrl-C raises NetworkZero's own exception."""
    begun = monotonic()
    try:
        return wait(*arguments)
    except KeyboardInterrupt as interrupt:
        if isinstance(interrupt, NetworkZeroError):
            raise
        raise SocketInterruptedError(monotonic() - begun) from None


#: The time to search for others that advertise a name that must be new, in seconds: that of the Rust verb.
LOOK_FOR_OTHERS = 0.6


def advertise(
    name: str, address: str | int | None = None, fail_if_exists: bool = False, ttl_s: float = ADVERT_TTL_S
) -> str | None:
    """Advertises `name` on the network, and returns its address: "ip:port".

    Until the program ends others can `discover` the name. A later advert of the name by the same program keeps the
    address, or moves the name to the new `address`.

    :param name: any text up to 128 bytes that is not an address ("10.0.0.1:9000", "localhost:9000") or a URL
    :param address: (optional) a port, an ip, an ip with wildcards ("192.168.*"), or ip:port
    :param fail_if_exists: do nothing and return None if the name is advertised already
    :param ttl_s: ignored: a name exists until its program ends
    :raises InvalidName: if others could not find a service by this name
    """
    # Searched for here, and not by the native half, so that Ctrl-C ends the search.
    if fail_if_exists:
        _meshzero.check_name(name)
        if look(_meshzero.discover, name, LOOK_FOR_OTHERS) is not None:
            return None
    return _meshzero.advertise(name, None if address is None else str(address))


def unadvertise(name: str) -> bool:
    """Reverts `advertise`, and closes every object that is served under the name; returns whether there was such a name."""
    return _meshzero.unadvertise(name)


def discover(name: str, wait_for_s: float | _Forever = 60) -> str | None:
    """Waits until a program advertises `name`, and returns the address; None at the timeout.

    :param name: the name, or an address ("10.0.0.1:9000"): then it waits until a service answers there
    """
    return look(_meshzero.discover, name, seconds(wait_for_s))


def look(search: Callable[[str, float | None, Callable[[str], object]], T], name: str, wait: float | None) -> T:
    """Searches for a name, and reports meanwhile why nothing was found so far."""
    return search(name, wait, lambda text: _hints.warn(name, text))


def discover_all(wait_for_s: float | _Forever = 60) -> list[list[str]] | None:
    """Returns all services as [[name, address], ...], once one is known; None at the timeout."""
    return as_lists(_meshzero.discover_all(seconds(wait_for_s)))


def as_lists(services: list[tuple[str, str]]) -> list[list[str]] | None:
    """Converts services to lists, as in NetworkZero, whose programs ask whether [name, address] is among them."""
    return [list(service) for service in services] or None


def discover_group(
    group: str, separator: str = "/", exclude: Iterable[str] | None = None
) -> list[tuple[str, str]]:
    """Returns the services whose names begin with `group` and `separator`, as [(name, address), ...].

    :param exclude: names to leave out, such as one's own
    """
    return _meshzero.discover_group(group, separator, list(exclude or ()), 0.0)


def send_message_to(address: object, message: object = None, wait_for_reply_s: float | _Forever = FOREVER) -> Any:
    """Sends one message and returns the reply.

    :param message: None, bool, int, float, str, bytes, list, tuple or dict of these
    :raises SocketTimedOutError: if no reply arrived in time
    :raises CallError: if there is no reply; `is_safe_to_repeat` is true if the message was certainly not handled
    """
    return _interruptible(_meshzero.call, full(address), message, None, seconds(wait_for_reply_s, "wait_for_reply_s"))


def wait_for_message_from(address: object, wait_for_s: float | _Forever = FOREVER, autoreply: bool = False) -> Any:
    """Waits for the next message to an address of this program; None if none arrived in time.

    The sender waits until this thread calls `send_reply_to`; with `autoreply` it gets None at once.
    """
    address, wait = full(address), seconds(wait_for_s)
    state = _thread_state.of_thread()
    # Messages that were not replied to are refused.
    state.unanswered.pop(address, None)
    request = _interruptible(_meshzero.next_request, address, wait, False)
    if request is None:
        return None
    if autoreply:
        request.reply(None)
    else:
        state.unanswered[address] = [request]
    return request.message


def send_reply_to(address: object, reply: object = None) -> None:
    """Replies to the message that this thread last took at this address."""
    address = full(address)
    request = _thread_state.of_thread().next_unanswered(address)
    if request is None:
        raise NetworkZeroError(
            "there is no message to reply to at %s: each needs one reply, from the thread that waited for it" % address
        )
    request.reply(reply)


def send_news_to(address: object, topic: str, data: object = None) -> None:
    """Sends news to everybody who listens to an address of this program, without waiting for them."""
    _meshzero.publish(full(address), topic, data)


def wait_for_news_from(
    address: object,
    prefix: str | Sequence[str] = EVERYTHING,
    wait_for_s: float | _Forever = FOREVER,
    is_raw: bool = False,
) -> tuple[str | None, Any]:
    """Waits for news whose topic begins with `prefix`: (topic, data), or (None, None) if none arrived in time.

    The first wait subscribes, and items that are published from then on are queued for the next waits of the same thread for
    the same addresses and prefixes: the newest 1,024 items.

    :param address: one address, or a list of several
    :param prefix: one prefix, or a list of several
    :param is_raw: not needed: bytes arrive as bytes
    """
    wait = seconds(wait_for_s)
    addresses = tuple(map(full, address)) if isinstance(address, (list, tuple)) else full(address)
    state = _thread_state.of_thread()
    listener = state.listener(addresses, prefix)
    end = None if wait is None else monotonic() + wait
    while True:
        try:
            return _interruptible(listener.next, wait) or (None, None)
        except MissedNews:
            # As in NetworkZero, a thread that waits too seldom misses items. `meshzero.listen` counts them.
            if end is not None:
                wait = max(0.0, end - monotonic())
        except Closed:
            state.forget(listener)
            raise


def address(address: str | int | None = None) -> str:
    """Completes a part of an address, and returns it: "ip:port".

    :param address: (optional) a port, an ip, an ip with wildcards ("192.168.*"), a host name, or ip:port
    """
    if address is None or address == "":
        return _meshzero.address(None)
    return _meshzero.address(str(address).strip())
