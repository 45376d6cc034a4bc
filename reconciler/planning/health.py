"""Health: the verdict on one feature, from the metrics of its jobs.

Pure: metrics, limits and the time are values. `MetricsSource` reads the metrics; other modules act
on the verdict. An inconclusive verdict never causes an act.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final, Protocol

from reconciler.rollout_file.durations import format_duration
from reconciler.wording import show_number
from rollout_client.targeting.categories import Category

STALE_AFTER: Final = timedelta(hours=1)
"""If repositories are eligible and nothing was recorded for this long, the metrics are stale."""

_A_DAY: Final = timedelta(days=1)


class Verdict(StrEnum):
    """The health of a feature."""

    PASS = "pass"  # noqa: S105 - no password  # nosec B105
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


class Reason(StrEnum):
    """Why a verdict is inconclusive."""

    TOO_FEW_JOBS = "too_few_jobs"
    NO_DATA = "no_data"
    STALE_DATA = "stale_data"
    SOURCE_FAILED = "source_failed"


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
class JobMetrics:
    """The sums of a feature's jobs within a period."""

    total: Tally = NO_JOBS
    newest_age: timedelta | None = None
    """The age of the newest job; None without jobs."""
    by_category: Mapping[Category, Tally] = field(default_factory=dict)
    """By the repositories' present category; without categories that had no job."""
    by_processor: Mapping[str, Tally] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Period:
    """The period whose jobs count: the last `window`, or less if the feature resumed within it."""

    now: datetime
    """By the database's clock, like `resumed_at`."""
    window: timedelta
    resumed_at: datetime | None = None
    """The last resume, at any time; earlier jobs do not count."""
    limited_at: datetime | None = None
    """The time of a rollback, if only later jobs count."""

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


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, with its reason if it is inconclusive."""

    verdict: Verdict
    reason: Reason | None = None


def judge(metrics: JobMetrics | None, *, eligible: int, limits: HealthLimits) -> Judgement:
    """Return the verdict on one feature (`Verdict` in the safeguard's contract).

    Args:
        metrics: None if the source failed.
        eligible: the number of eligible repositories; without any, no job is expected and no data is stale.
        limits: the limits for its health.
    """
    if metrics is None:
        return Judgement(Verdict.INCONCLUSIVE, Reason.SOURCE_FAILED)
    total = metrics.total
    if total.jobs == 0 or metrics.newest_age is None:
        return Judgement(Verdict.INCONCLUSIVE, Reason.NO_DATA)
    if metrics.newest_age > STALE_AFTER and eligible > 0:
        return Judgement(Verdict.INCONCLUSIVE, Reason.STALE_DATA)
    if total.jobs < limits.min_jobs:
        return Judgement(Verdict.INCONCLUSIVE, Reason.TOO_FEW_JOBS)
    # Multiplied, not divided: the comparison is exact at the limit.
    if 100 * total.errors > limits.max_error_rate * total.jobs:
        return Judgement(Verdict.FAIL)
    return Judgement(Verdict.PASS)


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

    @property
    def sentence(self) -> str:
        """The judgement with its metrics, as people read it."""
        total = NO_JOBS if self.metrics is None else self.metrics.total
        counted = f"{total.errors:,} of {total.jobs:,} jobs in {self._since}"
        match self.judgement.reason:
            case None:
                side = "over" if self.judgement.verdict is Verdict.FAIL else "within"
                most = show_number(self.limits.max_error_rate)
                return f"error rate {total.error_rate or 0:.2f}% {side} {most}% ({counted})"
            case Reason.TOO_FEW_JOBS:
                return (
                    f"too few jobs: {total.jobs:,} in {self._since}, "
                    f"{self.limits.min_jobs:,} are needed"
                )
            case Reason.NO_DATA:
                return f"no data: no job was recorded in {self._since}"
            case Reason.STALE_DATA:
                hours = STALE_AFTER // timedelta(hours=1)
                return f"stale data: nothing was recorded for over {hours}h ({counted})"
            case Reason.SOURCE_FAILED:
                return f"source failed: {self.failure or 'it did not answer'}"

    @property
    def _since(self) -> str:
        if self.period.begin == self.period.limited_at:
            return "the time since the rollback"
        if self.period.begin == self.period.resumed_at:
            return "the time since the resume"
        # A day is written as the file's default writes it.
        return "24h" if self.period.window == _A_DAY else format_duration(self.period.window)


PARTICIPATION_TARGET_PERCENT: Final = 10
"""More than this share of all repositories should be eligible."""
MAX_CONCENTRATION_PERCENT: Final = 80
"""No category should have a larger share of the eligible repositories than this."""
MIN_TEST_REPOSITORIES: Final = 5


class IndicatorStatus(StrEnum):
    """Whether an indicator is on its target."""

    OK = "ok"
    WARNED = "warned"


@dataclass(frozen=True, slots=True)
class Indicator:
    """One number, and whether it is on its target."""

    status: IndicatorStatus
    value: Decimal | int | None
    """In percent, or a number of test repositories; None if no repository is eligible."""
    limit: int


@dataclass(frozen=True, slots=True)
class Indicators:
    """The three indicators of one feature."""

    participation: Indicator
    """The share of all repositories that is eligible; its target is above the limit."""
    concentration: Indicator
    """The largest share of one category in the eligible repositories; its target is at most the limit."""
    test_repositories: Indicator
    """The number of test repositories; its target is the limit or more."""


def find_indicators(
    *,
    repositories: int,
    eligible_by_category: Mapping[Category, int],
    test_repositories: int,
    is_limited: bool = False,
) -> Indicators:
    """Return the indicators of a feature, all computed from numbers of repositories.

    A limited feature has no target for participation, because the limit lowers it on purpose.
    """
    eligible = sum(eligible_by_category.values())
    largest = max(eligible_by_category.values(), default=0)
    return Indicators(
        participation=_indicator(
            _share(eligible, repositories),
            PARTICIPATION_TARGET_PERCENT,
            is_ok=is_limited or 100 * eligible > PARTICIPATION_TARGET_PERCENT * repositories,
        ),
        concentration=_indicator(
            _share(largest, eligible),
            MAX_CONCENTRATION_PERCENT,
            is_ok=100 * largest <= MAX_CONCENTRATION_PERCENT * eligible,
        ),
        test_repositories=_indicator(
            test_repositories,
            MIN_TEST_REPOSITORIES,
            is_ok=test_repositories >= MIN_TEST_REPOSITORIES,
        ),
    )


def _indicator(value: Decimal | int | None, limit: int, *, is_ok: bool) -> Indicator:
    return Indicator(IndicatorStatus.OK if is_ok else IndicatorStatus.WARNED, value, limit)


def _share(part: int, whole: int) -> Decimal | None:
    return Decimal(100 * part) / whole if whole else None
