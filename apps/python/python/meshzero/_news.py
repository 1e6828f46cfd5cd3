"""News as an iterator."""

from __future__ import annotations

from . import _meshzero
from ._config import EVERYTHING, FOREVER, seconds
from ._errors import Closed, MissedNews
from ._verbs import _interruptible, full

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence

    from ._config import _Forever


class News:
    """A subscription: an iterator of (topic, data), and a context manager that ends it.

    Returned by `meshzero.listen`. Several threads may iterate over it, and each item goes to one of them. When any thread
    closes it, or the program leaves the mesh, every iteration ends.
    """

    def __init__(
        self, address: object, prefix: str | Sequence[str] = EVERYTHING, wait_for_s: float | _Forever = FOREVER
    ) -> None:
        addresses = address if isinstance(address, (list, tuple)) else [address]
        prefixes = [prefix] if isinstance(prefix, str) else list(prefix)
        self._wait = seconds(wait_for_s)
        self._listener = _meshzero.Listener([full(one) for one in addresses], prefixes)
        # Items that are published from now on arrive.
        _interruptible(self._listener.confirmed)
        #: The number of items that were dropped because this program did not take them for too long.
        self.missed = 0

    def __iter__(self) -> News:
        return self

    def __next__(self) -> tuple[str, Any]:
        while True:
            try:
                news = _interruptible(self._listener.next, self._wait)
            except MissedNews as missed:
                self.missed += missed.count
                continue
            except Closed:
                raise StopIteration from None
            if news is None:
                raise StopIteration
            return news

    def __enter__(self) -> News:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the subscription, and every iteration over it."""
        self._listener.close()


def listen(
    address: object, prefix: str | Sequence[str] = EVERYTHING, wait_for_s: float | _Forever = FOREVER
) -> News:
    """Subscribes to the news of one address or several, and returns an iterator of (topic, data).

    When this returns, every connected publisher has confirmed: items that it publishes from then on are not lost. An address
    at which nothing answers within half a second is subscribed to as soon as a publisher does.

    The iteration ends when no item arrives for `wait_for_s`, or when it is closed. Items that were dropped because the program
    was too slow are counted in `missed`::

        with meshzero.listen(weather, "wind") as news:
            for topic, data in news:
                print(topic, data)
    """
    return News(address, prefix, wait_for_s)
