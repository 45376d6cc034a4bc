import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout_client.targeting.categories import DEFAULT_THRESHOLDS, Activity, Category, categorize


@pytest.mark.parametrize(
    ("activity", "category"),
    [
        (Activity(), Category.TEST),
        (Activity(0, 2, 10), Category.TEST),
        (Activity(1, 0, 0), Category.SMALL),
        (Activity(0, 3, 0), Category.SMALL),
        (Activity(0, 0, 11), Category.SMALL),
        (Activity(50, 10, 100), Category.SMALL),
        (Activity(51, 10, 100), Category.MEDIUM),
        (Activity(500, 50, 1_000), Category.MEDIUM),
        (Activity(500, 51, 1_000), Category.LARGE),
        (Activity(5_000, 200, 10_000), Category.LARGE),
        (Activity(5_000, 200, 10_001), Category.ENTERPRISE),
    ],
)
def test_thresholds_are_inclusive(activity: Activity, category: Category) -> None:
    assert categorize(activity) is category


@given(
    st.builds(Activity, *3 * [st.integers(0, 20_000)]),
    st.builds(Activity, *3 * [st.integers(0, 5_000)]),
)
def test_growing_never_makes_a_repository_smaller(now: Activity, grown: Activity) -> None:
    order = list(Category)
    later = Activity(
        now.stars + grown.stars,
        now.contributors + grown.contributors,
        now.pull_requests + grown.pull_requests,
    )

    assert order.index(categorize(later)) >= order.index(categorize(now))


@pytest.mark.parametrize(
    ("activity", "score"),
    [
        (Activity(), 0),
        (Activity(3, 4, 59), 12),
        (Activity(0, 0, 9), 0),
        (Activity(90, 9, 10), 100),
        (Activity(100_000, 0, 0), 100),
    ],
)
def test_the_score_uses_integer_division_and_ends_at_100(activity: Activity, score: int) -> None:
    assert activity.monthly_score == score


def test_priorities_fall_with_size() -> None:
    assert [DEFAULT_THRESHOLDS[each].priority for each in Category] == [100, 80, 60, 40, 20]
