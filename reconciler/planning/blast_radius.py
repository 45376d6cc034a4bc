"""The blast radius: how many repositories gain and lose a feature by a plan, as the database counted them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from reconciler.planning.eligible_count import EligibleCount
from rollout_client.targeting.categories import Category

MOST_OWNERS: Final = 10
MOST_SAMPLES: Final = 20


@dataclass(frozen=True, slots=True)
class Moved:
    """The numbers of repositories of a group that gain and lose."""

    gained: int
    lost: int


@dataclass(frozen=True, slots=True)
class BlastRadius:
    """The effect of a plan on one feature's audience; numbers count repositories."""

    repositories: int
    """All repositories."""
    before: int
    after: int
    gained: int
    lost: int
    by_category: Mapping[Category, Moved]
    """By the category after the apply, in the order of `Category`; only if a repository moves."""
    by_owner: Mapping[str, Moved]
    """The owners with the most moved repositories, the most first, up to `MOST_OWNERS`."""
    sample_gained: tuple[str, ...]
    """Names, the most active first, up to `MOST_SAMPLES`."""
    sample_lost: tuple[str, ...]
    count: EligibleCount | None = None
    """The eligible repositories after the apply, which the apply keeps; no part of a plan's report."""

    @property
    def moves(self) -> bool:
        """Whether any repository gains or loses the feature."""
        return bool(self.gained or self.lost)
