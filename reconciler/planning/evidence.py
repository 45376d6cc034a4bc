"""Evidence: how strongly a feature's jobs speak against it, however often one looks.

Pure. Each test is a product of factors that grows only if the new processor does too badly. Under its null
hypothesis ("not over the limit", "not worse than the baseline by more than the tolerance") the expected value
never exceeds 1, so the chance that it ever reaches 1/α is at most α. All values are natural logarithms.

A test starts anew at each closed window, so that a change late in a stage is found as soon as an early one.
Start number j has the weight 1/(j (j+1)); the weights sum to one, and the weighted sum has the same
guarantee. Older starts are thinned out, which only lowers the sum.
"""

import math
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
    log_hard_limit,
    log_weighted_sum,
)
from rollout_client.targeting.categories import Category

WINDOW: Final = timedelta(minutes=5)
"""The length of a window; windows begin on the clock's fives."""
MAX_ERRORS_PER_REPOSITORY: Final = 5
"""Failures of one repository in one window beyond this number count neither as jobs nor as errors."""

_WINDOWS_IN_AN_HOUR: Final = timedelta(hours=1) // WINDOW
_WINDOWS_IN_A_DAY: Final = timedelta(days=1) // WINDOW
_LARGEST_LOG: Final = 700.0
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

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.jobs + other.jobs,
            self.errors + other.errors,
            self.timed + other.timed,
            self.slow + other.slow,
        )


NO_COUNTS: Final = Counts()


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


class EvidenceLevel(StrEnum):
    """What the evidence means for the feature."""

    NONE = "none"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Evidence:
    """The value of each test, and the largest one divided by the number of tests."""

    logs: Mapping[EvidenceTest, float]
    """The weighted sum over the starts of each test that is on."""
    false_alarms: Decimal
    since: datetime
    """When the stage began."""

    @property
    def log_value(self) -> float:
        """The logarithm of the evidence."""
        return max(self.logs.values()) - math.log(len(self.logs))

    @property
    def test(self) -> EvidenceTest:
        """The test with the largest value."""
        return max(self.logs, key=lambda test: self.logs[test])

    @property
    def value(self) -> float:
        """The evidence; what exceeds a float is infinite."""
        return math.exp(self.log_value) if self.log_value < _LARGEST_LOG else math.inf

    @property
    def fail_line(self) -> float:
        """The evidence from which on the feature fails: 1/α."""
        return 1 / float(self.false_alarms)

    @property
    def warn_line(self) -> float:
        """The evidence from which on a person is warned: 1/√α."""
        return math.sqrt(self.fail_line)

    @property
    def level(self) -> EvidenceLevel:
        """What the evidence means for the feature."""
        fails_at = -math.log(float(self.false_alarms))
        if self.log_value >= fails_at:
            return EvidenceLevel.FAIL
        return EvidenceLevel.WARN if self.log_value >= fails_at / 2 else EvidenceLevel.NONE


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
                states[key] = _after(before, block, settings)
    kept = frozenset(kept_starts(run.began_at, end))
    return replace(
        run,
        closed_until=end,
        states=tuple(state for (number, _), state in sorted(states.items()) if number in kept),
    )


def weigh(run: EvidenceRun, open_jobs: Counts, settings: EvidenceSettings) -> Evidence:
    """Return the evidence of a run and of the jobs since its last closed window.

    Args:
        run: the evidence of the closed windows.
        open_jobs: the jobs of the new processor in the windows from `run.closed_until` on.
        settings: the limits of the tests.
    """
    starts = kept_starts(run.began_at, run.closed_until)
    regression = dict.fromkeys(starts, 0.0)
    slowdown = dict.fromkeys(starts, 0.0)
    new = dict.fromkeys(starts, open_jobs)
    for state in run.states:
        regression[state.number] += state.regression
        slowdown[state.number] += state.slowdown
        new[state.number] += state.new
    limit = _share(settings.max_error_rate)
    by_test = {
        EvidenceTest.HARD_LIMIT: {
            number: log_hard_limit(counts.errors, counts.jobs, limit)
            for number, counts in new.items()
        },
        EvidenceTest.REGRESSION: regression,
        EvidenceTest.SLOWDOWN: slowdown,
    }
    return Evidence(
        {test: log_weighted_sum(by_test[test]) for test in settings.tests},
        settings.false_alarms,
        run.began_at,
    )


def _after(state: EvidenceState, block: Block, settings: EvidenceSettings) -> EvidenceState:
    regression = log_factor(
        block.baseline.failed,
        block.new.failed,
        (state.baseline.failed, state.new.failed),
        _share(settings.max_regression),
    )
    slowdown = log_factor(
        block.baseline.slowed,
        block.new.slowed,
        (state.baseline.slowed, state.new.slowed),
        _share(settings.max_slowdown or Decimal(0)),
    )
    return replace(
        state,
        regression=state.regression + regression,
        slowdown=state.slowdown + slowdown,
        baseline=state.baseline + block.baseline,
        new=state.new + block.new,
    )


def _share(percent: Decimal) -> float:
    return float(percent) / 100
