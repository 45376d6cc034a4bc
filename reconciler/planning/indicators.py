"""Indicators: what else is worth a look beside the verdict. They warn, and decide nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from reconciler.targeting.categories import Category

PARTICIPATION_TARGET_PERCENT: Final = 10
"""More of all repositories than this should be eligible."""
MAX_CONCENTRATION_PERCENT: Final = 80
"""No category should have more of the eligible ones than this."""
MIN_TEST_REPOSITORIES: Final = 5


class IndicatorStatus(StrEnum):
    """Whether an indicator is where it should be."""

    OK = "ok"
    WARNED = "warned"


@dataclass(frozen=True, slots=True)
class Indicator:
    """One figure, and whether it is where it should be."""

    status: IndicatorStatus
    value: Decimal | int | None
    """In percent, or a number of test repositories; None where nobody is eligible."""
    limit: int


@dataclass(frozen=True, slots=True)
class Indicators:
    """The three of one feature."""

    participation: Indicator
    """The share of all repositories that is eligible: over the limit."""
    concentration: Indicator
    """The largest share of the eligible ones that one category has: not over the limit."""
    test_repositories: Indicator
    """How many test repositories there are: the limit or more."""


def find_indicators(
    *,
    repositories: int,
    eligible_by_category: Mapping[Category, int],
    test_repositories: int,
) -> Indicators:
    """Return the indicators of a feature, all from numbers of repositories."""
    eligible = sum(eligible_by_category.values())
    largest = max(eligible_by_category.values(), default=0)
    return Indicators(
        participation=_indicator(
            _share(eligible, repositories),
            PARTICIPATION_TARGET_PERCENT,
            is_ok=100 * eligible > PARTICIPATION_TARGET_PERCENT * repositories,
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
