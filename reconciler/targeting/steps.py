"""Steps: from which percentage the strategy `repository_size` takes a category in."""

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from reconciler.targeting.categories import Category

STEPS: Final[Mapping[Category, int]] = MappingProxyType(
    {
        Category.TEST: 10,
        Category.SMALL: 25,
        Category.MEDIUM: 50,
        Category.LARGE: 75,
        Category.ENTERPRISE: 100,
    }
)
"""In percent. A repository marked as test is in from the step of `test`, whatever its category."""


def step_of(category: Category, *, marked_as_test: bool) -> int:
    """Return the percentage from which a repository is in."""
    return STEPS[Category.TEST] if marked_as_test else STEPS[category]


def step_in_force(percentage: Decimal) -> int:
    """Return the step that a percentage amounts to: the highest not above it, 0 below the first."""
    return max((step for step in STEPS.values() if step <= percentage), default=0)
