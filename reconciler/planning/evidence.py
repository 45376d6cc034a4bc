"""Evidence: how strongly a feature's jobs speak against it, however often it is checked.

Pure. Each test is a product of factors that grows only if the new processor does too badly. Under its null
hypothesis ("not over the limit", "not worse than the baseline by more than the tolerance") the expected value
never exceeds 1, so the chance that it ever reaches 1/α is at most α. All values are natural logarithms.

A test restarts at each closed window, so a late change in a stage is found as soon as an early one.
Start number j has the weight 1/(j (j+1)); the weights sum to one, and the weighted sum has the same
guarantee. Older starts are thinned out, which only lowers the sum.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import groupby
from typing import Final

from reconciler.planning.evidence_formulas import (
    Arm,
    log_factor,
)
from rollout_client.targeting.categories import Category

WINDOW: Final = timedelta(minutes=5)
"""The length of a window; windows begin on the clock's fives."""
MAX_ERRORS_PER_REPOSITORY: Final = 5
"""Failures of one repository in one window beyond this number count neither as jobs nor as errors."""
MIN_TIMED_JOBS: Final = 20
"""With fewer durations of the baseline, no job is called slow."""
_SLOW_PERCENT: Final = 5

_WINDOWS_IN_AN_HOUR: Final = timedelta(hours=1) // WINDOW
_WINDOWS_IN_A_DAY: Final = timedelta(days=1) // WINDOW
_KEPT_EACH_WINDOW: Final = 12
_KEPT_EACH_HOUR: Final = 2 * _WINDOWS_IN_A_DAY


@dataclass(frozen=True, slots=True)
class Counts:
    """The jobs of one arm; `timed` of them reported a duration, and `slow` of these were slow."""

    jobs: int = 0
    errors: int = 0
    timed: int = 0
    slow: int = 0

    @property
    def failed(self) -> Arm:
        """All jobs, and those that failed."""
        return Arm(self.jobs, self.errors)

    @property
    def slowed(self) -> Arm:
        """The jobs with a duration, and those that were slow."""
        return Arm(self.timed, self.slow)

    @property
    def slow_share(self) -> Decimal | None:
        """The share of slow jobs, in percent; None without jobs with a duration."""
        return Decimal(100 * self.slow) / self.timed if self.timed else None

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.jobs + other.jobs,
            self.errors + other.errors,
            self.timed + other.timed,
            self.slow + other.slow,
        )


NO_COUNTS: Final = Counts()


@dataclass(frozen=True, slots=True)
class Arms:
    """The jobs of both processors."""

    baseline: Counts = NO_COUNTS
    """The jobs of `fallback`."""
    new: Counts = NO_COUNTS
    """The jobs of `processor`."""


NO_ARMS: Final = Arms()


@dataclass(frozen=True, slots=True)
class Block:
    """The jobs of one category in one closed window, with at most five failures of each repository."""

    category: Category
    window_start: datetime
    baseline: Counts = NO_COUNTS
    """The jobs of `fallback`."""
    new: Counts = NO_COUNTS
    """The jobs of `processor`."""


@dataclass(frozen=True, slots=True)
class EvidenceState:
    """One category since one start: the log value of each test of blocks, and the jobs so far."""

    number: int
    """The number of the start since the stage began, from 1."""
    category: Category
    regression: float = 0.0
    slowdown: float = 0.0
    baseline: Counts = NO_COUNTS
    new: Counts = NO_COUNTS

    def after(self, block: Block, settings: "EvidenceSettings") -> "EvidenceState":
        """Return the state once a block of its category is counted."""
        regression = log_factor(
            block.baseline.failed,
            block.new.failed,
            (self.baseline.failed, self.new.failed),
            settings.regression_share,
        )
        slowdown = log_factor(
            block.baseline.slowed,
            block.new.slowed,
            (self.baseline.slowed, self.new.slowed),
            settings.slowdown_share,
        )
        return replace(
            self,
            regression=self.regression + regression,
            slowdown=self.slowdown + slowdown,
            baseline=self.baseline + block.baseline,
            new=self.new + block.new,
        )


@dataclass(frozen=True, slots=True)
class EvidenceRun:
    """The evidence of one feature since its stage began, up to the last window that was counted.

    A state that is missing is that of a start without jobs.
    """

    began_at: datetime
    """The last apply that changed the audience, promotion, rollback or resume; earlier jobs do not count."""
    closed_until: datetime
    """The end of the last window that was counted; the beginning of the first one until then."""
    states: tuple[EvidenceState, ...] = ()
    slow_above: int | None = None
    """A job in a higher time bucket than this is slow; None until the baseline has enough jobs."""

    @classmethod
    def begin(cls, began_at: datetime, slow_above: int | None = None) -> "EvidenceRun":
        """Return a run without jobs."""
        return cls(began_at, window_of(began_at), (), slow_above)

    def start_of(self, number: int) -> datetime:
        """Return the time of a start."""
        return max(self.began_at, window_of(self.began_at) + (number - 1) * WINDOW)


@dataclass(frozen=True, slots=True)
class EvidenceSettings:
    """The limits of the tests; rates are in percent."""

    max_error_rate: Decimal
    max_regression: Decimal = Decimal(2)
    """Percentage points by which the new processor may be worse than the baseline."""
    false_alarms: Decimal = Decimal("0.001")
    """The share of healthy rollouts that are ever rolled back, at most."""
    max_slowdown: Decimal | None = None
    """Percentage points of slow jobs more than the baseline's; None does not judge them."""

    @property
    def limit_share(self) -> float:
        """The highest error rate, from 0 to 1."""
        return float(self.max_error_rate) / 100

    @property
    def regression_share(self) -> float:
        """The tolerance of the regression, from 0 to 1."""
        return float(self.max_regression) / 100

    @property
    def slowdown_share(self) -> float:
        """The tolerance of slow jobs, from 0 to 1; 0 where they are not judged."""
        return float(self.max_slowdown or 0) / 100

    @property
    def tests(self) -> "tuple[EvidenceTest, ...]":
        """The tests that are on."""
        if self.max_slowdown is None:
            return (EvidenceTest.HARD_LIMIT, EvidenceTest.REGRESSION)
        return tuple(EvidenceTest)


class EvidenceTest(StrEnum):
    """One question that the jobs answer."""

    HARD_LIMIT = "hard_limit"
    """Is the error rate over `max_error_rate`?"""
    REGRESSION = "regression"
    """Is the new processor worse than the baseline by more than `max_regression`?"""
    SLOWDOWN = "slowdown"
    """Does the new processor have more slow jobs than the baseline by more than `max_slowdown`?"""


def window_of(moment: datetime) -> datetime:
    """Return the beginning of the five minutes that contain a time."""
    return moment - (moment.astimezone(UTC) - datetime(2000, 1, 1, tzinfo=UTC)) % WINDOW


def kept_starts(began_at: datetime, closed_until: datetime) -> tuple[int, ...]:
    """Return the numbers of the starts that are kept once every window before a time is counted.

    The last twelve windows, one an hour for two days, one a day before. A start that is kept was kept at
    every earlier time.
    """
    newest = (window_of(closed_until) - window_of(began_at)) // WINDOW
    recent = range(max(0, newest - _KEPT_EACH_WINDOW + 1), newest + 1)
    hourly = range(0, newest + 1, _WINDOWS_IN_AN_HOUR)
    daily = range(0, newest + 1, _WINDOWS_IN_A_DAY)
    kept = {*recent, *(each for each in hourly if newest - each <= _KEPT_EACH_HOUR), *daily}
    return tuple(index + 1 for index in sorted(kept))


def advance(
    run: EvidenceRun,
    blocks: Iterable[Block],
    closed_until: datetime,
    settings: EvidenceSettings,
) -> EvidenceRun:
    """Return the evidence once every window that ended by a time is counted.

    A window is counted once: a block of a window before `run.closed_until` is late and changes nothing.

    Args:
        run: the evidence so far.
        blocks: those of all windows from `run.closed_until` on; a window without jobs has none.
        closed_until: the end of the last closed window.
        settings: the limits of the tests.
    """
    end = window_of(closed_until)
    if end <= run.closed_until:
        return run
    states = {(each.number, each.category): each for each in run.states}
    fresh = (each for each in blocks if run.closed_until <= window_of(each.window_start) < end)
    in_order = sorted(fresh, key=lambda block: (block.window_start, block.category))
    for window, found in groupby(in_order, key=lambda block: window_of(block.window_start)):
        starts = kept_starts(run.began_at, window)
        for block in found:
            for number in starts:
                key = number, block.category
                before = states.get(key, EvidenceState(number, block.category))
                states[key] = before.after(block, settings)
    kept = frozenset(kept_starts(run.began_at, end))
    return replace(
        run,
        closed_until=end,
        states=tuple(state for (number, _), state in sorted(states.items()) if number in kept),
    )


def find_slow_bucket(baseline: Mapping[int, int]) -> int | None:
    """Return the bucket with the baseline's 95th percentile; None with too few durations.

    Args:
        baseline: the number of jobs in each bucket of durations.
    """
    total = sum(baseline.values())
    if total < MIN_TIMED_JOBS:
        return None
    slower = total
    for bucket, jobs in sorted(baseline.items()):
        slower -= jobs
        if 100 * slower <= _SLOW_PERCENT * total:
            return bucket
    return None
