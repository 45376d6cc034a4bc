"""Counts of eligible repositories: which one is the newest, and how long the watch rests after one."""

from datetime import UTC, datetime, timedelta

import pytest

from reconciler.planning.eligible_count import (
    EligibleCount,
    live_counts,
    newest_count,
    rest_seconds,
)
from rollout_client.targeting.categories import Category

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


def count(eligible: int, at: datetime | None, *, is_before_change: bool = False) -> EligibleCount:
    by_category = {each: eligible if each is Category.SMALL else 0 for each in Category}
    return EligibleCount(10, 0, by_category, at, is_before_change=is_before_change)


def test_a_count_of_now_is_newer_than_any_kept_one() -> None:
    kept, later = count(1, NOON), count(2, NOON + timedelta(hours=1))

    assert newest_count([later, kept]) is later
    assert newest_count([kept, now := count(3, None), later]) is now


def test_a_verdict_uses_no_count_from_before_a_change() -> None:
    counts = {"a": count(1, NOON), "b": count(2, NOON, is_before_change=True), "c": count(0, None)}

    assert live_counts(counts) == {"a": 1, "c": 0}


@pytest.mark.parametrize(("taken", "rest"), [(0.01, 60), (1.2, 60), (20, 1_000), (300, 15_000)])
def test_counting_takes_a_fiftieth_of_the_time_at_most(taken: float, rest: float) -> None:
    assert rest_seconds(taken) == rest
