"""Categories: how large a repository is, by its stars, contributors and pull requests.

Thresholds are values, so that a file can set them. The defaults are those of the documentation. The SQL
functions read the same thresholds from the table `category_threshold`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Category(StrEnum):
    """A repository's size; the order is the order in which thresholds are tried."""

    TEST = "test"
    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"
    ENTERPRISE = "enterprise"


@dataclass(frozen=True, slots=True)
class Activity:
    """The metrics that decide a category; a missing one counts as 0."""

    stars: int = 0
    contributors: int = 0
    pull_requests: int = 0

    @property
    def monthly_score(self) -> int:
        """Activity as one number from 0 to 100; `reconcile repositories list --ready` sorts by it."""
        return min(100, self.stars + self.contributors + self.pull_requests // 10)


@dataclass(frozen=True, slots=True)
class Threshold:
    """The inclusive limits of a category, and its priority.

    `None` means that there is no limit. Repositories of a higher priority get a feature earlier.
    """

    stars: int | None
    contributors: int | None
    pull_requests: int | None
    priority: int

    def holds(self, activity: Activity) -> bool:
        """Return whether every metric is within its limit."""
        return (
            (self.stars is None or activity.stars <= self.stars)
            and (self.contributors is None or activity.contributors <= self.contributors)
            and (self.pull_requests is None or activity.pull_requests <= self.pull_requests)
        )


DEFAULT_THRESHOLDS: Mapping[Category, Threshold] = MappingProxyType(
    {
        Category.TEST: Threshold(stars=0, contributors=2, pull_requests=10, priority=100),
        Category.SMALL: Threshold(stars=50, contributors=10, pull_requests=100, priority=80),
        Category.MEDIUM: Threshold(stars=500, contributors=50, pull_requests=1_000, priority=60),
        Category.LARGE: Threshold(stars=5_000, contributors=200, pull_requests=10_000, priority=40),
        Category.ENTERPRISE: Threshold(
            stars=None, contributors=None, pull_requests=None, priority=20
        ),
    }
)


def categorize(
    activity: Activity, thresholds: Mapping[Category, Threshold] = DEFAULT_THRESHOLDS
) -> Category:
    """Return the first category, in the order of `Category`, whose threshold holds."""
    return next(
        (category for category in Category if thresholds[category].holds(activity)),
        Category.ENTERPRISE,
    )
