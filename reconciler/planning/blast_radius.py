"""The blast radius: who gains and who loses a feature by a plan. The database counts it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from reconciler.targeting.categories import Category

MOST_OWNERS: Final = 10
MOST_SAMPLES: Final = 20


@dataclass(frozen=True, slots=True)
class Moved:
    """How many repositories of a group come and go."""

    gained: int
    lost: int


@dataclass(frozen=True, slots=True)
class BlastRadius:
    """What a plan does to one feature's audience; figures count repositories."""

    repositories: int
    """All that there are."""
    before: int
    after: int
    gained: int
    lost: int
    by_category: Mapping[Category, Moved]
    """By the category that each will have, in the order of `Category`, where any moves."""
    by_owner: Mapping[str, Moved]
    """The owners of the most that move, the most first, up to `MOST_OWNERS`."""
    sample_gained: tuple[str, ...]
    """Names, the most active first, up to `MOST_SAMPLES`."""
    sample_lost: tuple[str, ...]

    @property
    def moves(self) -> bool:
        """Whether anybody gains or loses the feature."""
        return bool(self.gained or self.lost)
