"""What a resident watcher decides: whose turn it is, when to try again, what is news, when it is silent.

Times go in as seconds of any clock that only goes forward; nothing here looks at one.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

LEASE_INTERVALS: Final = 3
"""For so many intervals who was killed keeps the next one out."""
SHORTEST_LEASE_SECONDS: Final = 4.0
"""More than twice what judging a feature takes where the database is slow."""
SHORTEST_LEASE_ASKING_ELSEWHERE_SECONDS: Final = 24.0
"""The same where its figures come from elsewhere: it may be asked twice, for five seconds each."""

SILENT_INTERVALS: Final = 5
"""So many intervals without a tick that succeeded are no hiccup any more."""
SHORTEST_SILENCE_SECONDS: Final = 3.0

FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 3.0
"""What comes back is used again within this time."""


class LeaseStep(Enum):
    """What a watcher does about the lease before a tick."""

    KEEP = auto()
    """It lasts; nothing is to be done."""
    RENEW = auto()
    ASK = auto()
    """Look who has it, and take it where nobody does."""


def lease_seconds(interval_seconds: float, *, asks_elsewhere: bool) -> float:
    """Return how long a lease lasts that nothing renews.

    Between two features it is renewed once half of it is over: the other half outlasts judging one.
    """
    shortest = SHORTEST_LEASE_ASKING_ELSEWHERE_SECONDS if asks_elsewhere else SHORTEST_LEASE_SECONDS
    return max(LEASE_INTERVALS * interval_seconds, shortest)


def lease_step(remaining_seconds: float | None, length_seconds: float) -> LeaseStep:
    """Return what to do about the lease; `remaining_seconds` is None where somebody else may have it.

    It is renewed once half of it is over, so that most ticks write nothing.
    """
    if remaining_seconds is None:
        return LeaseStep.ASK
    return LeaseStep.KEEP if remaining_seconds > length_seconds / 2 else LeaseStep.RENEW


def pause_seconds(failures: int) -> float:
    """Return how long to wait after so many failures in a row, at least one."""
    # The exponent is bounded too: an outage may last for days.
    return min(FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 16), LONGEST_PAUSE_SECONDS)


def is_silent(seconds_since_tick: float | None, interval_seconds: float) -> bool:
    """Tell whether it is too long ago that a tick succeeded; None where none ever did."""
    if seconds_since_tick is None:
        return True
    return seconds_since_tick > max(SILENT_INTERVALS * interval_seconds, SHORTEST_SILENCE_SECONDS)


class News(Enum):
    """What is worth telling of something that can fail."""

    NONE = auto()
    BEGAN = auto()
    """It fails, or fails in another way than before."""
    ENDED = auto()


@dataclass(frozen=True, slots=True)
class Trouble:
    """How something that can fail has done lately."""

    failures: int = 0
    """In a row."""
    kind: str | None = None
    """In which way it fails; None where it does not."""

    def after(self, kind: str | None) -> tuple["Trouble", News]:
        """Return how it stands after one more try, and what of that is news.

        Args:
            kind: in which way the try failed; None where it succeeded.
        """
        if kind is None:
            return Trouble(), News.NONE if self.kind is None else News.ENDED
        news = News.NONE if kind == self.kind else News.BEGAN
        return Trouble(self.failures + 1, kind), news
