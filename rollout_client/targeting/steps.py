"""Steps: the percentage from which a category is eligible under the strategy `repository_size`."""

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from rollout_client.targeting.categories import Category

STEPS: Final[Mapping[Category, int]] = MappingProxyType(
    {
        Category.TEST: 10,
        Category.SMALL: 25,
        Category.MEDIUM: 50,
        Category.LARGE: 75,
        Category.ENTERPRISE: 100,
    }
)
"""In percent. A repository marked as test is eligible from the step of `test`, with any category."""


def step_of(category: Category, *, marked_as_test: bool) -> int:
    """Return the percentage from which a repository is eligible."""
    return STEPS[Category.TEST] if marked_as_test else STEPS[category]


def step_in_force(percentage: Decimal) -> int:
    """Return the highest step that is not above a percentage; 0 below the first step."""
    return max((step for step in STEPS.values() if step <= percentage), default=0)
