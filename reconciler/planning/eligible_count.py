"""The number of eligible repositories of a feature, as it was counted at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rollout_client.targeting.categories import Category


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

    @property
    def eligible(self) -> int:
        """The eligible repositories of all categories."""
        return sum(self.by_category.values())


def to_stored(count: EligibleCount) -> dict[str, Any]:
    """Return a count as an apply stores it; the time is that of its transaction."""
    return {
        "repositories": count.repositories,
        "test_repositories": count.test_repositories,
        "by_category": dict(count.by_category),
    }


def from_stored(stored: Mapping[str, Any], counted_at: datetime, *, is_on: bool) -> EligibleCount:
    """Return a stored count; a feature that is off has no eligible repository."""
    by_category = stored["by_category"]
    return EligibleCount(
        stored["repositories"],
        stored["test_repositories"],
        {each: by_category.get(each, 0) if is_on else 0 for each in Category},
        counted_at,
    )
