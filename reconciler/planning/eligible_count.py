"""The number of eligible repositories of a feature, as it was counted at one moment."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from rollout_client.targeting.categories import Category

SHORTEST_REST_SECONDS: Final = 60.0
"""The watch counts at most once a minute."""
REST_PER_SECOND: Final = 50.0
"""The watch counts at most this part of the time: a count of 20 seconds is followed by a rest of 1,000."""


_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class EligibleCount:
    """The eligible repositories of a feature by category; numbers count repositories."""

    repositories: int
    """All repositories."""
    test_repositories: int
    by_category: Mapping[Category, int]
    """Every category, in the order of `Category`."""
    counted_at: datetime | None = None
    """None if it was counted for this answer."""
    is_before_change: bool = False
    """Whether the feature's audience was changed after the count."""

    @property
    def eligible(self) -> int:
        """The eligible repositories of all categories."""
        return sum(self.by_category.values())


def newest_count(counts: Iterable[EligibleCount]) -> EligibleCount:
    """Return the count that was made last; one that was made for this answer comes first."""
    return max(counts, key=lambda each: (each.counted_at is None, each.counted_at or _LONG_AGO))


def live_counts(counts: Mapping[str, EligibleCount]) -> Mapping[str, int]:
    """Return the numbers of eligible repositories that were counted with the live configuration."""
    return {name: each.eligible for name, each in counts.items() if not each.is_before_change}


def rest_seconds(taken: float) -> float:
    """Return the seconds between a count of the watch, which took `taken` seconds, and its next one."""
    return max(SHORTEST_REST_SECONDS, REST_PER_SECOND * taken)
