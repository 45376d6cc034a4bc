"""Simulated rollouts: how long a method takes until it rolls back, and how often it does so without a reason.

Pure: the random numbers come from the generator that is passed in.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Final, Protocol

from reconciler.planning.evidence import (
    WINDOW,
    Arms,
    Block,
    Counts,
    EvidenceRun,
    advance,
)
from reconciler.planning.evidence_value import EvidenceLevel, weigh
from reconciler.planning.health import HealthLimits
from reconciler.rollout_file.health_method import HealthMethod
from rollout_client.targeting.categories import Category

_BEGIN: Final = datetime(2000, 1, 1, tzinfo=UTC)


class Randomness(Protocol):
    """A generator of random numbers."""

    def random(self) -> float:
        """Return a number from 0 to 1, without 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """The jobs of one rollout; rates are shares from 0 to 1."""

    jobs: int
    """Jobs of the new processor in five minutes."""
    baseline_jobs: int
    """Jobs of the fallback in five minutes."""
    baseline_rate: float
    """The error rate of the fallback, and of the new processor while it is healthy."""
    new_rate: float
    """The error rate of the new processor from the change on."""
    good_windows: int = 0
    """Windows before the change."""
    windows: int = 2016
    """Windows from the change on."""
    counted_windows: int = 288
    """Windows whose jobs the method `threshold` counts."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one simulated rollout."""

    rolled_back: bool
    jobs: int
    """Jobs of the new processor from the change to the rollback or the end; negative before the change."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """The ends of many simulated rollouts."""

    scenario: Scenario
    outcomes: Sequence[Outcome]

    @property
    def rolled_back(self) -> int:
        """The number of rollouts that were rolled back at all."""
        return sum(each.rolled_back for each in self.outcomes)

    @property
    def early(self) -> int:
        """The number of rollouts that were rolled back before the change."""
        return sum(each.rolled_back and each.jobs <= 0 for each in self.outcomes)

    def jobs_at(self, share: float) -> int | None:
        """Return the jobs from the change until this share was rolled back; None if fewer were."""
        late = sorted(each.jobs for each in self.outcomes if each.rolled_back and each.jobs > 0)
        needed = max(1, ceil(share * (len(self.outcomes) - self.early)))
        return late[needed - 1] if needed <= len(late) else None

    def time_at(self, share: float) -> timedelta | None:
        """Return the time from the change until this share was rolled back; None if fewer were."""
        jobs = self.jobs_at(share)
        return None if jobs is None else jobs * WINDOW / self.scenario.jobs


def simulate(
    scenario: Scenario, limits: HealthLimits, *, rollouts: int, random: Randomness
) -> Simulation:
    """Return the ends of simulated rollouts that the safeguard looks at after every job."""
    simulate_one = _by_evidence if limits.method is HealthMethod.EVIDENCE else _by_threshold
    return Simulation(
        scenario, tuple(simulate_one(scenario, limits, random) for _ in range(rollouts))
    )


def _by_evidence(scenario: Scenario, limits: HealthLimits, random: Randomness) -> Outcome:
    settings = limits.evidence
    run, end = EvidenceRun.begin(_BEGIN), _BEGIN
    for window in range(-scenario.good_windows, scenario.windows):
        rate = scenario.baseline_rate if window < 0 else scenario.new_rate
        errors = 0
        for job in range(1, scenario.jobs + 1):
            if random.random() >= rate:
                continue
            # Only an error can raise the evidence within a window.
            errors += 1
            evidence = weigh(run, Arms(new=Counts(job, errors)), settings)
            if evidence.level is EvidenceLevel.FAIL:
                return Outcome(rolled_back=True, jobs=window * scenario.jobs + job)
        end += WINDOW
        baseline_errors = _count_errors(scenario.baseline_jobs, scenario.baseline_rate, random)
        block = Block(
            Category.MEDIUM,
            end - WINDOW,
            Counts(scenario.baseline_jobs, baseline_errors),
            Counts(scenario.jobs, errors),
        )
        run = advance(run, [block], end, settings)
        if weigh(run, Arms(), settings).level is EvidenceLevel.FAIL:
            return Outcome(rolled_back=True, jobs=(window + 1) * scenario.jobs)
    return Outcome(rolled_back=False, jobs=scenario.windows * scenario.jobs)


def _by_threshold(scenario: Scenario, limits: HealthLimits, random: Randomness) -> Outcome:
    past: deque[int] = deque(maxlen=scenario.counted_windows)
    for window in range(-scenario.good_windows, scenario.windows):
        rate = scenario.baseline_rate if window < 0 else scenario.new_rate
        before, jobs_before, errors = sum(past), len(past) * scenario.jobs, 0
        for job in range(1, scenario.jobs + 1):
            errors += random.random() < rate
            jobs = jobs_before + job
            fails = 100 * (before + errors) > limits.max_error_rate * jobs
            if jobs >= limits.min_jobs and fails:
                return Outcome(rolled_back=True, jobs=window * scenario.jobs + job)
        past.append(errors)
    return Outcome(rolled_back=False, jobs=scenario.windows * scenario.jobs)


def _count_errors(jobs: int, rate: float, random: Randomness) -> int:
    return sum(random.random() < rate for _ in range(jobs))
