from decimal import Decimal

import pytest

from rollout_client.targeting.categories import Category
from rollout_client.targeting.steps import step_in_force, step_of


@pytest.mark.parametrize(
    ("percentage", "step"),
    [
        ("0", 0), ("5", 0), ("9.99", 0), ("10", 10), ("24.99", 10), ("25", 25), ("30", 25),
        ("50", 50), ("74.5", 50), ("75", 75), ("99", 75), ("99.99", 75), ("100", 100),
    ],
)  # fmt: skip
def test_between_two_steps_the_lower_one_applies(percentage: str, step: int) -> None:
    assert step_in_force(Decimal(percentage)) == step


def test_a_test_mark_takes_precedence_over_the_category() -> None:
    assert step_of(Category.ENTERPRISE, marked_as_test=True) == 10
    assert step_of(Category.ENTERPRISE, marked_as_test=False) == 100
