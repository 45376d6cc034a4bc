"""Health: the verdict on one feature, from the metrics of its jobs.

Pure: metrics, limits and the time are values. `MetricsSource` reads the metrics; other modules act
on the verdict. An inconclusive verdict never causes an act.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Final, Protocol

from reconciler.planning.evidence import EvidenceSettings, EvidenceTest
from reconciler.planning.evidence_value import Evidence, EvidenceLevel
from reconciler.rollout_file.durations import format_duration
from reconciler.rollout_file.health_method import HealthMethod
from reconciler.rollout_file.model import DEFAULT_FALLBACK, DEFAULT_PROCESSOR
from reconciler.wording import counted, show_number
from rollout_client.targeting.categories import Category

STALE_AFTER: Final = timedelta(hours=1)
"""If repositories are eligible and nothing was recorded for this long, the metrics are stale."""

_A_DAY: Final = timedelta(days=1)
_MOST_SHOWN: Final = 1_000_000
"""Evidence above this is shown as more than this."""


class Verdict(StrEnum):
    """The health of a feature."""

    PASS = "pass"  # noqa: S105 - no password  # nosec B105
    WARN = "warn"
    """The evidence rises: it is not enough for a rollback, and too much for a promotion."""
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


class Reason(StrEnum):
    """Why a verdict is inconclusive."""

    TOO_FEW_JOBS = "too_few_jobs"
    NO_DATA = "no_data"
    STALE_DATA = "stale_data"
    SOURCE_FAILED = "source_failed"
    SHARED_CAUSE = "shared_cause"
    """The fallback does no better: a rollback would not help."""


@dataclass(frozen=True, slots=True)
class Tally:
    """The number of jobs, and of failed jobs."""

    jobs: int
    errors: int

    @property
    def error_rate(self) -> Decimal | None:
        """The share of failed jobs, in percent; None without jobs."""
        return Decimal(100 * self.errors) / self.jobs if self.jobs else None


NO_JOBS: Final = Tally(0, 0)


@dataclass(frozen=True, slots=True)
class Processors:
    """The two processors of a feature."""

    processor: str = DEFAULT_PROCESSOR
    """It runs the jobs of eligible repositories; these alone are judged."""
    fallback: str = DEFAULT_FALLBACK
    """It runs all other jobs: the baseline."""


@dataclass(frozen=True, slots=True)
class JobMetrics:
    """The sums of a feature's jobs within a period."""

    total: Tally = NO_JOBS
    """The jobs of `processor`."""
    newest_age: timedelta | None = None
    """The age of the newest of them; None without jobs."""
    by_category: Mapping[Category, Tally] = field(default_factory=dict)
    """The same by the repositories' present category; without categories that had no job."""
    by_processor: Mapping[str, Tally] = field(default_factory=dict)
    """The jobs of every processor."""
    baseline: Tally = NO_JOBS
    """The jobs of `fallback`."""
    baseline_by_category: Mapping[Category, Tally] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Period:
    """The jobs that count: of two processors, in the last `window` or since a resume within it."""

    now: datetime
    """By the database's clock, like `resumed_at`."""
    window: timedelta
    resumed_at: datetime | None = None
    """The last resume, at any time; earlier jobs do not count."""
    limited_at: datetime | None = None
    """The time of a rollback, if only later jobs count."""
    processors: Processors = Processors()

    @property
    def cut_at(self) -> datetime | None:
        """The resume or the rollback before which no job counts: metric windows are split there."""
        cuts = [cut for cut in (self.resumed_at, self.limited_at) if cut is not None]
        return max(cuts, default=None)

    @property
    def begin(self) -> datetime:
        """The start of the period."""
        begin = self.now - self.window
        return begin if self.cut_at is None else max(begin, self.cut_at)


class MetricsSource(Protocol):
    """A source of metrics."""

    def read_metrics(self, feature: str, period: Period) -> JobMetrics:
        """Return the sums of one feature's jobs within a period.

        Raises:
            Unavailable: the source did not answer; the verdict is then `source_failed`.
        """


@dataclass(frozen=True, slots=True)
class HealthLimits:
    """The limits for a feature's health."""

    max_error_rate: Decimal
    """In percent; exactly this rate passes."""
    min_jobs: int
    """With fewer jobs the verdict is inconclusive."""
    method: HealthMethod = HealthMethod.THRESHOLD
    max_regression: Decimal = Decimal(2)
    """Percentage points by which `processor` may be worse than `fallback`."""
    max_slowdown: Decimal | None = None
    false_alarms: Decimal = Decimal("0.001")

    @property
    def evidence(self) -> EvidenceSettings:
        """The limits of the tests."""
        return EvidenceSettings(
            self.max_error_rate, self.max_regression, self.false_alarms, self.max_slowdown
        )


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, with its reason if it is inconclusive."""

    verdict: Verdict
    reason: Reason | None = None


def judge(
    metrics: JobMetrics | None,
    *,
    eligible: int,
    limits: HealthLimits,
    evidence: Evidence | None = None,
) -> Judgement:
    """Return the verdict on one feature, by the jobs of its `processor` alone.

    Args:
        metrics: None if the source failed.
        eligible: the number of eligible repositories; without any, no job is expected and no data is stale.
        limits: the limits for its health.
        evidence: of the method `evidence`; without it the error rate is compared with its limit.
    """
    if metrics is None:
        return Judgement(Verdict.INCONCLUSIVE, Reason.SOURCE_FAILED)
    by_evidence = None if evidence is None else _judge_evidence(evidence, limits)
    if by_evidence is not None:
        return by_evidence
    silence = _reason_for_silence(metrics, eligible, limits.min_jobs)
    if silence is not None:
        return Judgement(Verdict.INCONCLUSIVE, silence)
    total = metrics.total
    if evidence is None and _exceeds(total, limits.max_error_rate):
        if _is_shared(total, metrics.baseline, limits):
            return Judgement(Verdict.INCONCLUSIVE, Reason.SHARED_CAUSE)
        return Judgement(Verdict.FAIL)
    return Judgement(Verdict.PASS)


def _reason_for_silence(metrics: JobMetrics, eligible: int, min_jobs: int) -> Reason | None:
    """Return why the jobs are neither good nor bad; None where they are enough and fresh."""
    if metrics.total.jobs == 0 or metrics.newest_age is None:
        return Reason.NO_DATA
    if metrics.newest_age > STALE_AFTER and eligible > 0:
        return Reason.STALE_DATA
    return Reason.TOO_FEW_JOBS if metrics.total.jobs < min_jobs else None


def _judge_evidence(evidence: Evidence, limits: HealthLimits) -> Judgement | None:
    """Return the verdict that the evidence demands; None where it is too little.

    It needs no minimum of jobs, and it does not become stale: counted jobs stay counted.
    """
    match evidence.level:
        case EvidenceLevel.FAIL:
            is_worse = any(
                evidence.fails(test) for test in (EvidenceTest.REGRESSION, EvidenceTest.SLOWDOWN)
            )
            start = evidence.start
            new = Tally(start.new.jobs, start.new.errors)
            baseline = Tally(start.baseline.jobs, start.baseline.errors)
            if not is_worse and _is_shared(new, baseline, limits):
                return Judgement(Verdict.INCONCLUSIVE, Reason.SHARED_CAUSE)
            return Judgement(Verdict.FAIL)
        case EvidenceLevel.WARN:
            return Judgement(Verdict.WARN)
        case EvidenceLevel.NONE:
            return None


def _exceeds(tally: Tally, percent: Decimal) -> bool:
    # Multiplied, not divided: the comparison is exact at the limit.
    return 100 * tally.errors > percent * tally.jobs


def _is_shared(new: Tally, baseline: Tally, limits: HealthLimits) -> bool:
    """Return whether the baseline fails too, and the new processor is not worse than allowed."""
    if baseline.jobs < limits.min_jobs or not _exceeds(baseline, limits.max_error_rate):
        return False
    difference = Fraction(new.errors, new.jobs) - Fraction(baseline.errors, baseline.jobs)
    return 100 * difference <= Fraction(limits.max_regression)


@dataclass(frozen=True, slots=True)
class Health:
    """One feature's health: the judgement and its inputs."""

    judgement: Judgement
    metrics: JobMetrics | None
    """None if the source failed."""
    limits: HealthLimits
    period: Period
    failure: str | None = None
    """The source's failure, in one line."""
    evidence: Evidence | None = None
    """None under the method `threshold`, and where metrics do not come from the database."""

    @property
    def sentence(self) -> str:
        """The judgement with its metrics, in a sentence."""
        return describe_judgement(self)

    @property
    def since(self) -> str:
        """The period, in words."""
        if self.period.begin == self.period.limited_at:
            return "the time since the rollback"
        if self.period.begin == self.period.resumed_at:
            return "the time since the resume"
        # A day is written as the file's default writes it.
        return "24h" if self.period.window == _A_DAY else format_duration(self.period.window)


def describe_judgement(health: Health) -> str:
    """Return the judgement of a feature with its metrics, in one line."""
    total = NO_JOBS if health.metrics is None else health.metrics.total
    counted_jobs = f"{total.errors:,} of {total.jobs:,} jobs in {health.since}"
    match health.judgement.reason:
        case Reason.TOO_FEW_JOBS:
            return (
                f"too few jobs: {total.jobs:,} in {health.since}, "
                f"{health.limits.min_jobs:,} are needed"
            )
        case Reason.NO_DATA:
            return f"no data: no job{_elsewhere(health)}was recorded in {health.since}"
        case Reason.STALE_DATA:
            hours = STALE_AFTER // timedelta(hours=1)
            return f"stale data: nothing was recorded for over {hours}h ({counted_jobs})"
        case Reason.SOURCE_FAILED:
            return f"source failed: {health.failure or 'it did not answer'}"
        case Reason.SHARED_CAUSE:
            return f"shared cause: {_both_arms(health)}; a rollback would not help"
        case None:
            return _describe_measured(health, counted_jobs)


def _describe_measured(health: Health, counted_jobs: str) -> str:
    total = NO_JOBS if health.metrics is None else health.metrics.total
    rate = f"{total.error_rate or 0:.2f}%"
    if health.evidence is not None:
        if health.judgement.verdict is Verdict.PASS:
            return f"error rate {rate} ({counted_jobs}), {describe_evidence(health.evidence)}"
        return f"{_both_arms(health)}: {describe_evidence(health.evidence)}"
    side = "over" if health.judgement.verdict is Verdict.FAIL else "within"
    return f"error rate {rate} {side} {show_number(health.limits.max_error_rate)}% ({counted_jobs})"


def _elsewhere(health: Health) -> str:
    """Return the middle of a sentence about jobs of other processors than the one that is judged."""
    found = {} if health.metrics is None else health.metrics.by_processor
    others = ", ".join(f"{counted(tally.jobs, 'job')} on {name}" for name, tally in found.items())
    judged = health.period.processors.processor
    return f" of {judged} ({others}) " if others else " "


def _both_arms(health: Health) -> str:
    """Return the failed or slow jobs of both processors, in the period of the verdict."""
    metrics, names, what = health.metrics or JobMetrics(), health.period.processors, "failed"
    new, baseline = metrics.total, metrics.baseline
    if health.evidence is not None:
        start = health.evidence.start
        if health.evidence.test is EvidenceTest.SLOWDOWN:
            what = "were slow"
            new = Tally(start.new.timed, start.new.slow)
            baseline = Tally(start.baseline.timed, start.baseline.slow)
        else:
            new = Tally(start.new.jobs, start.new.errors)
            baseline = Tally(start.baseline.jobs, start.baseline.errors)
    return (
        f"{new.errors:,} of {new.jobs:,} jobs {what} on {names.processor}, "
        f"{baseline.errors:,} of {baseline.jobs:,} on {names.fallback}"
    )


def describe_evidence(evidence: Evidence) -> str:
    """Return the evidence and the value from which on a feature fails: evidence 312 of 1,000."""
    return f"evidence {shown_evidence(evidence.value)} of {math.ceil(evidence.fail_line):,}"


def shown_evidence(value: float) -> str:
    """Return a value of the evidence in whole numbers: 312; very large ones as `over 1,000,000`."""
    return f"over {_MOST_SHOWN:,}" if value > _MOST_SHOWN else f"{math.floor(value):,}"
