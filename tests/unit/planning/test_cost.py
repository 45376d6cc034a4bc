"""The price of jobs, from what is recorded of them."""

import math
from datetime import timedelta
from decimal import Decimal
from random import Random

import pytest

from reconciler.planning.cost import (
    CostReport,
    JobGroup,
    Stratum,
    cost_report,
    expected_rounded,
)
from reconciler.rollout_file.routing import Cost
from rollout_client.route import read_routing

BY_MINUTE = Cost(per_minute=Decimal("0.006"), round_up=timedelta(minutes=1))
BY_EXECUTION = Cost(per_execution=Decimal("0.0001"), executions_per_job=6)
COSTS = {"github_actions": BY_MINUTE, "inngest": BY_EXECUTION}
SMALL = Stratum("small", "reviews", 1)


def group(
    processor: str,
    jobs: int = 100,
    *,
    errors: int = 0,
    seconds: float = 30.0,
    stratum: Stratum = SMALL,
) -> JobGroup:
    """Return a group whose jobs each take the same known time."""
    billed = math.ceil(seconds / 60) * 60.0 * jobs
    return JobGroup(processor, stratum, jobs, errors, jobs, seconds * jobs, {60.0: billed}, ())


def report(*groups: JobGroup, rules: tuple[dict[str, object], ...] = ()) -> CostReport:
    return cost_report("f", groups, COSTS, read_routing("github_actions", "inngest", rules))


def test_each_job_is_rounded_up_to_the_minute() -> None:
    (line,) = report(group("github_actions", 100, seconds=61)).lines
    assert line.price == pytest.approx(100 * 2 * 0.006)
    assert line.minutes == pytest.approx(100 * 61 / 60)


def test_the_price_of_a_success_counts_failed_jobs_too() -> None:
    (line,) = report(group("inngest", 100, errors=20)).lines
    assert line.price_per_success == pytest.approx(100 * 0.0006 / 80)


def test_a_price_that_is_not_in_the_file_is_unknown() -> None:
    found = report(group("lambda"))
    assert found.lines[0].price is None
    assert found.now is None
    assert found.saved is None


def test_jobs_without_a_time_have_no_price_by_minutes() -> None:
    untimed = JobGroup("github_actions", SMALL, 5, 0, 0, 0.0, {}, ())
    assert report(untimed).now is None


def test_the_report_compares_with_the_fallback_alone() -> None:
    found = report(group("github_actions"), group("inngest"))
    assert found.at_0 == pytest.approx(200 * 0.0006)
    assert found.now == pytest.approx(100 * 0.006 + 100 * 0.0006)
    assert found.at_100 == pytest.approx(200 * 0.006)
    assert found.saved == pytest.approx(100 * (0.0006 - 0.006))


def test_at_100_percent_jobs_go_by_the_rules() -> None:
    found = report(group("inngest"), rules=({"when": {"size": "<=10"}, "to": "inngest"},))
    assert found.at_100 == found.at_0


def test_jobs_that_never_ran_elsewhere_are_priced_by_their_own_time() -> None:
    found = report(group("inngest", seconds=200))
    assert found.at_100 == pytest.approx(100 * 4 * 0.006)


@pytest.mark.parametrize("round_up", [1.0, 60.0, 300.0])
def test_a_bucket_has_the_expected_rounded_time_of_its_jobs(round_up: float) -> None:
    random = Random(1)
    for bucket in (10, 21, 23, 25, 30, 35):
        high = 0.01 * 1.5**bucket
        jobs = [high * 1.5 ** -random.random() for _ in range(20_000)]
        billed = sum(math.ceil(job / round_up) * round_up for job in jobs) / len(jobs)
        assert expected_rounded(bucket, round_up) == pytest.approx(billed, rel=0.01)
