"""The verdict: pass, fail or inconclusive."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.planning.health import (
    STALE_AFTER,
    Health,
    HealthLimits,
    JobMetrics,
    Judgement,
    Period,
    Reason,
    Tally,
    Verdict,
    judge,
)
from reconciler.planning.indicators import IndicatorStatus, find_indicators
from rollout_client.targeting.categories import Category

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
LIMITS = HealthLimits(max_error_rate=Decimal(5), min_jobs=10)
DAY = timedelta(days=1)

rates = st.decimals(0, 100, places=2)
tallies = st.integers(0, 100_000).flatmap(
    lambda jobs: st.builds(Tally, st.just(jobs), st.integers(0, jobs))
)


def metrics(jobs: int, errors: int, age: timedelta = timedelta(minutes=1)) -> JobMetrics:
    return JobMetrics(Tally(jobs, errors), age if jobs else None)


def inconclusive(reason: Reason) -> Judgement:
    return Judgement(Verdict.INCONCLUSIVE, reason)


@pytest.mark.parametrize(
    ("found", "eligible", "expected"),
    [
        (metrics(200, 25), 5, Judgement(Verdict.FAIL)),
        (metrics(200, 10), 5, Judgement(Verdict.PASS)),
        (metrics(200, 11), 5, Judgement(Verdict.FAIL)),
        (metrics(10, 0), 5, Judgement(Verdict.PASS)),
        (metrics(9, 9), 5, inconclusive(Reason.TOO_FEW_JOBS)),
        (metrics(0, 0), 5, inconclusive(Reason.NO_DATA)),
        (metrics(0, 0), 0, inconclusive(Reason.NO_DATA)),
        (metrics(200, 200, STALE_AFTER), 5, Judgement(Verdict.FAIL)),
        (metrics(200, 200, STALE_AFTER * 1.01), 5, inconclusive(Reason.STALE_DATA)),
        (metrics(200, 0, STALE_AFTER * 1.01), 5, inconclusive(Reason.STALE_DATA)),
        (metrics(200, 0, STALE_AFTER * 1.01), 0, Judgement(Verdict.PASS)),
        (None, 5, inconclusive(Reason.SOURCE_FAILED)),
    ],
)
def test_each_verdict(found: JobMetrics | None, eligible: int, expected: Judgement) -> None:
    assert judge(found, eligible=eligible, limits=LIMITS) == expected


@given(tally=tallies, rate=rates, min_jobs=st.integers(0, 100), eligible=st.integers(0, 3))
def test_only_enough_jobs_over_the_limit_fail(
    tally: Tally, rate: Decimal, min_jobs: int, eligible: int
) -> None:
    verdict = judge(
        metrics(tally.jobs, tally.errors),
        eligible=eligible,
        limits=HealthLimits(rate, min_jobs),
    ).verdict

    is_enough = tally.jobs >= max(min_jobs, 1)
    is_over = is_enough and Decimal(tally.errors) / tally.jobs * 100 > rate
    assert (verdict is Verdict.INCONCLUSIVE) == (not is_enough)
    assert (verdict is Verdict.FAIL) == is_over


@given(rate=rates, tens_of_thousands=st.integers(1, 10))
def test_the_limit_itself_passes_and_one_error_more_fails(
    rate: Decimal, tens_of_thousands: int
) -> None:
    jobs, errors = 10_000 * tens_of_thousands, int(100 * rate) * tens_of_thousands
    limits = HealthLimits(rate, min_jobs=1)

    assert judge(metrics(jobs, errors), eligible=1, limits=limits).verdict is Verdict.PASS
    if errors < jobs:
        more = metrics(jobs, errors + 1)
        assert judge(more, eligible=1, limits=limits).verdict is Verdict.FAIL


@given(
    found=st.none()
    | st.builds(JobMetrics, tallies, st.none() | st.timedeltas(timedelta(0), timedelta(days=30))),
    eligible=st.integers(0, 3),
    rate=rates,
    min_jobs=st.integers(0, 100),
)
def test_only_an_inconclusive_verdict_has_a_reason(
    found: JobMetrics | None, eligible: int, rate: Decimal, min_jobs: int
) -> None:
    judgement = judge(found, eligible=eligible, limits=HealthLimits(rate, min_jobs))

    assert (judgement.verdict is Verdict.INCONCLUSIVE) == (judgement.reason is not None)
    if found is None or found.total.jobs < max(min_jobs, 1) or found.newest_age is None:
        assert judgement.verdict is Verdict.INCONCLUSIVE


def test_jobs_count_from_the_last_resume_if_it_is_later() -> None:
    assert Period(NOW, DAY).begin == NOW - DAY
    assert Period(NOW, DAY, NOW - 2 * DAY).begin == NOW - DAY
    assert Period(NOW, DAY, NOW - DAY / 2).begin == NOW - DAY / 2


def sentence(
    found: JobMetrics | None, *, resumed: timedelta | None = None, window: timedelta = DAY
) -> str:
    resumed_at = None if resumed is None else NOW - resumed
    judgement = judge(found, eligible=1, limits=LIMITS)
    return Health(judgement, found, LIMITS, Period(NOW, window, resumed_at)).sentence


def test_a_verdict_is_shown_with_its_metrics() -> None:
    assert sentence(metrics(200, 25)) == "error rate 12.50% over 5% (25 of 200 jobs in 24h)"
    assert sentence(metrics(2000, 1)) == "error rate 0.05% within 5% (1 of 2,000 jobs in 24h)"
    assert sentence(metrics(3, 0)) == "too few jobs: 3 in 24h, 10 are needed"
    assert sentence(metrics(0, 0), window=DAY / 96) == "no data: no job was recorded in 15m"
    assert (
        sentence(metrics(20, 0, DAY / 2))
        == "stale data: nothing was recorded for over 1h (0 of 20 jobs in 24h)"
    )
    assert sentence(None) == "source failed: it did not answer"
    assert (
        sentence(metrics(20, 4), resumed=DAY / 2)
        == "error rate 20.00% over 5% (4 of 20 jobs in the time since the resume)"
    )


@pytest.mark.parametrize(
    ("repositories", "eligible", "tests", "expected"),
    [
        (100, {Category.SMALL: 8, Category.LARGE: 2}, 4, ("warned", "ok", "warned")),
        (100, {Category.SMALL: 9, Category.LARGE: 2}, 5, ("ok", "warned", "ok")),
        (100, {}, 0, ("warned", "ok", "warned")),
        (0, {}, 0, ("warned", "ok", "warned")),
    ],
)
def test_indicators_warn_at_their_limits(
    repositories: int,
    eligible: dict[Category, int],
    tests: int,
    expected: tuple[str, str, str],
) -> None:
    found = find_indicators(
        repositories=repositories, eligible_by_category=eligible, test_repositories=tests
    )

    statuses = (
        found.participation.status,
        found.concentration.status,
        found.test_repositories.status,
    )
    assert statuses == tuple(map(IndicatorStatus, expected))
