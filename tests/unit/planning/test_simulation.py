"""Simulated rollouts have the promised rates: 500 of each kind here, 10,000 in the nightly run."""

from decimal import Decimal
from math import log
from random import Random
from typing import Final

import pytest

from reconciler.planning.evidence_formulas import Arm, log_factor, log_hard_limit
from reconciler.planning.health import HealthLimits
from reconciler.planning.simulation import Scenario, simulate
from reconciler.rollout_file.health_method import HealthMethod

EVIDENCE: Final = HealthLimits(Decimal(5), 10, HealthMethod.EVIDENCE)
THRESHOLD: Final = HealthLimits(Decimal(5), 10)
LINE: Final = log(1000)
MOST_JOBS: Final = 5_000
WINDOW_JOBS: Final = 25
"""Jobs of the new processor in a window, at whose end a regression is looked at."""
BLOCK: Final = 5
"""Jobs of the new processor in a block; rates are multiples of it."""


@pytest.fixture
def rollouts(request: pytest.FixtureRequest) -> int:
    return 10_000 if request.config.getoption("--nightly") else 500


def quantiles(jobs: list[int]) -> tuple[int, int]:
    ordered = sorted(jobs)
    return ordered[len(ordered) // 2], ordered[len(ordered) * 9 // 10]


def jobs_of_one_start(rate: float, tolerance: float, random: Random) -> int:
    """Return the jobs until one start of the regression test reaches 1,000, three baseline jobs for each."""
    baseline, new, value, jobs = Arm(0, 0), Arm(0, 0), 0.0, 0
    while value < LINE and jobs < MOST_JOBS:
        errors = sum(random.random() < 0.01 for _ in range(3 * BLOCK))
        new_errors = sum(random.random() < rate for _ in range(BLOCK))
        value += log_factor(
            Arm(3 * BLOCK, errors), Arm(BLOCK, new_errors), (baseline, new), tolerance
        )
        baseline = Arm(baseline.jobs + 3 * BLOCK, baseline.hits + errors)
        new = Arm(new.jobs + BLOCK, new.hits + new_errors)
        jobs += BLOCK
    return jobs


def jobs_of_the_hard_limit(rate: float, random: Random) -> int:
    errors = jobs = 0
    while log_hard_limit(errors, jobs, 0.05) < LINE:
        jobs += 1
        errors += random.random() < rate
    return jobs


def is_near(found: int, promised: int, step: int) -> bool:
    """Return whether a rate is within a tenth of the promised one, or within a step of the simulation."""
    return abs(found - promised) <= max(promised / 10, step)


@pytest.mark.parametrize(
    ("rate", "tolerance", "median", "ninth"),
    [
        (0.1, 0.0, 120, 190),
        (0.2, 0.0, 40, 70),
        (0.5, 0.0, 15, 25),
        (1.0, 0.0, 10, 10),
        (0.1, 0.02, 220, 370),
        (0.2, 0.02, 55, 95),
        (0.5, 0.02, 20, 25),
        (1.0, 0.02, 10, 10),
    ],
)
def test_a_regression_is_found_within_the_promised_jobs(
    rate: float, tolerance: float, median: int, ninth: int, rollouts: int
) -> None:
    random = Random(18)
    found = quantiles([jobs_of_one_start(rate, tolerance, random) for _ in range(rollouts)])

    assert is_near(found[0], median, BLOCK), found
    assert is_near(found[1], ninth, BLOCK), found


@pytest.mark.parametrize(
    ("rate", "median", "ninth"), [(0.1, 448, 790), (0.2, 62, 115), (0.5, 9, 19), (1.0, 3, 3)]
)
def test_the_hard_limit_is_reached_within_the_promised_jobs(
    rate: float, median: int, ninth: int, rollouts: int
) -> None:
    random = Random(18)
    found = quantiles([jobs_of_the_hard_limit(rate, random) for _ in range(rollouts)])

    assert is_near(found[0], median, 1), found
    assert is_near(found[1], ninth, 1), found


@pytest.mark.parametrize(
    ("rate", "least", "most"), [(0.01, 0.16, 0.22), (0.02, 0.35, 0.42), (0.03, 0.54, 0.62)]
)
def test_a_threshold_rolls_back_healthy_rollouts(
    rate: float, least: float, most: float, rollouts: int
) -> None:
    """Within 1,000 jobs, judged after each: one in five at 1 %, two in five at 2 %."""
    healthy = Scenario(jobs=25, baseline_jobs=0, baseline_rate=rate, new_rate=rate, windows=40)

    found = simulate(healthy, THRESHOLD, rollouts=4 * rollouts, random=Random(18))

    assert least <= found.rolled_back / (4 * rollouts) <= most


@pytest.mark.parametrize(
    ("baseline", "new"), [(0.01, 0.01), (0.02, 0.04), (0.05, 0.05), (0.03, 0.05)]
)
def test_evidence_leaves_healthy_rollouts_alone(baseline: float, new: float, rollouts: int) -> None:
    """Also exactly at the limit, and exactly at the tolerance: at most one in 1,000."""
    healthy = Scenario(jobs=25, baseline_jobs=75, baseline_rate=baseline, new_rate=new, windows=24)

    found = simulate(healthy, EVIDENCE, rollouts=rollouts // 4, random=Random(18))

    assert found.rolled_back <= max(1, 3 * rollouts // 4_000)


@pytest.mark.parametrize(
    ("rate", "median", "ninth", "step"),
    [(0.2, 126, 175, WINDOW_JOBS), (0.5, 23, 35, 5), (1.0, 7, 7, 1)],
)
def test_a_failure_after_good_hours_is_found_soon(
    rate: float, median: int, ninth: int, step: int, rollouts: int
) -> None:
    """With two processors, both tests, a start each window and 3,000 good jobs before."""
    late = Scenario(
        jobs=25, baseline_jobs=75, baseline_rate=0.01, new_rate=rate, good_windows=120, windows=60
    )

    found = simulate(late, EVIDENCE, rollouts=rollouts // 10, random=Random(18))

    assert found.early == 0
    assert is_near(found.jobs_at(0.5) or 0, median, step), found.jobs_at(0.5)
    assert is_near(found.jobs_at(0.9) or 0, ninth, step), found.jobs_at(0.9)
