"""Decisions of the watch: the lease, backoff, failures, silence."""

import pytest

from reconciler.planning.watch import (
    FIRST_BACKOFF_SECONDS,
    LONGEST_BACKOFF_SECONDS,
    SHORTEST_LEASE_ASKING_ELSEWHERE_SECONDS,
    SHORTEST_LEASE_SECONDS,
    FailureChange,
    FailureState,
    LeaseStep,
    is_silent,
    lease_seconds,
    lease_step,
    retry_seconds,
)


@pytest.mark.parametrize(
    ("remaining", "step"),
    [
        (None, LeaseStep.READ_HOLDER),
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


def test_the_backoff_grows_up_to_a_limit() -> None:
    backoffs = [retry_seconds(failures) for failures in range(1, 10_000)]

    assert backoffs[0] == FIRST_BACKOFF_SECONDS
    assert backoffs == sorted(backoffs)
    assert max(backoffs) == LONGEST_BACKOFF_SECONDS


def test_a_failure_is_reported_when_it_begins_changes_and_ends() -> None:
    state, changes = FailureState(), []
    for kind in (None, "gone", "gone", "refused", "refused", None, None, "gone"):
        state, change = state.after(kind)
        changes.append((change, state.failures))

    assert changes == [
        (FailureChange.NONE, 0),
        (FailureChange.BEGAN, 1),
        (FailureChange.NONE, 2),
        (FailureChange.BEGAN, 3),
        (FailureChange.NONE, 4),
        (FailureChange.ENDED, 0),
        (FailureChange.NONE, 0),
        (FailureChange.BEGAN, 1),
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
def test_a_watch_without_ticks_is_unhealthy_after_several_intervals(
    since: float | None, interval: float, *, silent: bool
) -> None:
    assert is_silent(since, interval) is silent
