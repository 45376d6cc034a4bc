"""When the features may be read again after notifications: ten times a second on average.

Any login can notify the channel. A sender that floods it waits for the next regular read, at most a tenth
of a second. The first notifications of another sender do not wait behind the flood: one read may come in
advance of the regular time.
"""

from math import inf
from typing import Final

SHORTEST_READ_INTERVAL_SECONDS: Final = 0.1
"""The average time between two reads: many notifications cause at most ten reads a second."""
_QUIET_SENDER_NOTIFICATIONS: Final = 50
"""A sender with more notifications than this in a second gets no read in advance."""
_SENDER_MEMORY_SECONDS: Final = 1.0


class ReadPace:
    """The time of the next read, by the notifications that arrived since the last one."""

    def __init__(self) -> None:
        self.due: float = inf
        """When to read; infinite while no notification asks for a read."""
        self._regular: float = -inf
        self._heard: dict[int, int] = {}
        self._heard_since: float = -inf

    def began(self, now: float) -> None:
        """Note that a read begins: it covers the notifications so far."""
        self.due = inf
        self._regular = max(self._regular, now) + SHORTEST_READ_INTERVAL_SECONDS

    def heard(self, sender: int, now: float) -> None:
        """Note a notification that asks for a read, from the server process `sender`."""
        elapsed = now - self._heard_since
        if elapsed > _SENDER_MEMORY_SECONDS:
            is_recent = elapsed <= 2 * _SENDER_MEMORY_SECONDS
            most = _QUIET_SENDER_NOTIFICATIONS
            # A flood goes on as one: the next second does not begin with reads in advance.
            self._heard = {
                each: most for each, count in self._heard.items() if is_recent and count > most
            }
            self._heard_since = now
        self._heard[sender] = self._heard.get(sender, 0) + 1
        is_quiet = self._heard[sender] <= _QUIET_SENDER_NOTIFICATIONS
        advance = SHORTEST_READ_INTERVAL_SECONDS if is_quiet else 0.0
        self.due = min(self.due, self._regular - advance)
