"""The indicators of a rollout: participation, concentration and test repositories."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from rollout_client.targeting.categories import Category

PARTICIPATION_TARGET_PERCENT: Final = 10
"""More than this share of all repositories should be eligible."""
MAX_CONCENTRATION_PERCENT: Final = 80
"""No category should have a larger share of the eligible repositories than this."""
MIN_TEST_REPOSITORIES: Final = 5


class IndicatorStatus(StrEnum):
    """Whether an indicator is on its target."""

    OK = "ok"
    WARNED = "warned"


@dataclass(frozen=True, slots=True)
class Indicator:
    """One number, and whether it is on its target."""

    status: IndicatorStatus
    value: Decimal | int | None
    """In percent, or a number of test repositories; None if no repository is eligible."""
    limit: int


@dataclass(frozen=True, slots=True)
class Indicators:
    """The three indicators of one feature."""

    participation: Indicator
    """The share of all repositories that is eligible; its target is above the limit."""
    concentration: Indicator
    """The largest share of one category in the eligible repositories; its target is at most the limit."""
    test_repositories: Indicator
    """The number of test repositories; its target is the limit or more."""


def find_indicators(
    *,
    repositories: int,
    eligible_by_category: Mapping[Category, int],
    test_repositories: int,
    is_limited: bool = False,
) -> Indicators:
    """Return the indicators of a feature, all computed from numbers of repositories.

    A limited feature has no target for participation, because the limit lowers it on purpose.
    """
    eligible = sum(eligible_by_category.values())
    largest = max(eligible_by_category.values(), default=0)
    return Indicators(
        participation=_indicator(
            _share(eligible, repositories),
            PARTICIPATION_TARGET_PERCENT,
            is_ok=is_limited or 100 * eligible > PARTICIPATION_TARGET_PERCENT * repositories,
        ),
        concentration=_indicator(
            _share(largest, eligible),
            MAX_CONCENTRATION_PERCENT,
            is_ok=100 * largest <= MAX_CONCENTRATION_PERCENT * eligible,
        ),
        test_repositories=_indicator(
            test_repositories,
            MIN_TEST_REPOSITORIES,
            is_ok=test_repositories >= MIN_TEST_REPOSITORIES,
        ),
    )


def _indicator(value: Decimal | int | None, limit: int, *, is_ok: bool) -> Indicator:
    return Indicator(IndicatorStatus.OK if is_ok else IndicatorStatus.WARNED, value, limit)


def _share(part: int, whole: int) -> Decimal | None:
    return Decimal(100 * part) / whole if whole else None
