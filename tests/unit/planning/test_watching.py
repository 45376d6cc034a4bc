"""A watcher's decisions: the lease, pauses, news, silence."""

import pytest

from reconciler.planning.watch import (
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    SHORTEST_LEASE_ASKING_ELSEWHERE_SECONDS,
    SHORTEST_LEASE_SECONDS,
    LeaseStep,
    News,
    Trouble,
    is_silent,
    lease_seconds,
    lease_step,
    pause_seconds,
)


@pytest.mark.parametrize(
    ("remaining", "step"),
    [
        (None, LeaseStep.ASK),
        (15.0, LeaseStep.KEEP),
        (7.6, LeaseStep.KEEP),
        (7.5, LeaseStep.RENEW),
        (-3.0, LeaseStep.RENEW),
    ],
)
def test_a_lease_is_renewed_once_half_of_it_is_over(
    remaining: float | None, step: LeaseStep
) -> None:
    assert lease_step(remaining, 15.0) is step


def test_a_lease_lasts_a_few_intervals_and_never_less_than_a_slow_tick() -> None:
    assert lease_seconds(5.0, asks_elsewhere=False) == 15.0
    assert lease_seconds(0.1, asks_elsewhere=False) == SHORTEST_LEASE_SECONDS
    assert lease_seconds(5.0, asks_elsewhere=True) == SHORTEST_LEASE_ASKING_ELSEWHERE_SECONDS


def test_pauses_grow_and_stay_short_however_long_it_lasts() -> None:
    pauses = [pause_seconds(failures) for failures in range(1, 10_000)]

    assert pauses[0] == FIRST_PAUSE_SECONDS
    assert pauses == sorted(pauses)
    assert max(pauses) == LONGEST_PAUSE_SECONDS


def test_trouble_is_news_when_it_begins_changes_and_ends() -> None:
    trouble, told = Trouble(), []
    for kind in (None, "gone", "gone", "refused", "refused", None, None, "gone"):
        trouble, news = trouble.after(kind)
        told.append((news, trouble.failures))

    assert told == [
        (News.NONE, 0),
        (News.BEGAN, 1),
        (News.NONE, 2),
        (News.BEGAN, 3),
        (News.NONE, 4),
        (News.ENDED, 0),
        (News.NONE, 0),
        (News.BEGAN, 1),
    ]


@pytest.mark.parametrize(
    ("since", "interval", "silent"),
    [
        (None, 5.0, True),
        (0.0, 5.0, False),
        (25.0, 5.0, False),
        (25.1, 5.0, True),
        (3.0, 0.1, False),
        (3.1, 0.1, True),
    ],
)
def test_it_is_silent_after_several_intervals(
    since: float | None, interval: float, *, silent: bool
) -> None:
    assert is_silent(since, interval) is silent
