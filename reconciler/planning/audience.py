"""The eligible repositories of a feature by category, counted or estimated from a sample."""

from collections.abc import Sequence
from dataclasses import dataclass

from rollout_client.targeting.categories import Category


@dataclass(frozen=True, slots=True)
class CategoryShare:
    """The repositories of one category, and how many of them are eligible."""

    category: Category
    eligible: int
    total: int


@dataclass(frozen=True, slots=True)
class AudienceEstimate:
    """The audience of a feature, by category."""

    repositories: int
    """All repositories; the database's statistics where it is an estimate."""
    looked_at: int
    """The repositories for which eligibility was computed."""
    categories: Sequence[CategoryShare]
    """Every category, in order; scaled to all repositories."""

    @property
    def is_estimated(self) -> bool:
        """Whether only some repositories were looked at."""
        return self.looked_at < self.repositories

    @property
    def eligible(self) -> int:
        """The eligible repositories of all categories."""
        return sum(each.eligible for each in self.categories)


def scale_sample(
    repositories: int, looked_at: int, found: Sequence[CategoryShare]
) -> AudienceEstimate:
    """Return the audience of all repositories from a sample.

    Args:
        repositories: the number of all repositories.
        looked_at: the number of repositories in the sample.
        found: the counts of the sample.
    """
    factor = repositories / looked_at if looked_at else 0.0
    known = {each.category: each for each in found}
    shares = [known.get(category, CategoryShare(category, 0, 0)) for category in Category]
    return AudienceEstimate(
        repositories,
        looked_at,
        tuple(
            CategoryShare(each.category, round(each.eligible * factor), round(each.total * factor))
            for each in shares
        ),
    )
