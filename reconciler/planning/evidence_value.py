"""The value of the evidence: its tests at one moment, and the verdict that they demand."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from reconciler.planning.evidence import (
    NO_COUNTS,
    Arms,
    Counts,
    EvidenceRun,
    EvidenceSettings,
    EvidenceTest,
    kept_starts,
)
from reconciler.planning.evidence_formulas import (
    heaviest_start,
    log_hard_limit,
    log_weighted_sum,
)

_LARGEST_LOG: Final = 700.0
"""The exponential of this is the largest that a float can hold."""


class EvidenceLevel(StrEnum):
    """What the evidence demands."""

    NONE = "none"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Start:
    """One start of the tests, and the jobs of both processors since then, the open window included."""

    at: datetime
    baseline: Counts = NO_COUNTS
    new: Counts = NO_COUNTS


@dataclass(frozen=True, slots=True)
class Evidence:
    """The value of each test, and the largest one divided by the number of tests."""

    logs: Mapping[EvidenceTest, float]
    """The weighted sum over the starts of each test that is on."""
    false_alarms: Decimal
    starts: Mapping[EvidenceTest, Start]
    """The leading start of each test: the one with the largest part of its sum."""

    @property
    def log_value(self) -> float:
        """The logarithm of the evidence."""
        return max(self.logs.values()) - math.log(len(self.logs))

    @property
    def test(self) -> EvidenceTest:
        """The test with the largest value."""
        return max(self.logs, key=lambda test: self.logs[test])

    @property
    def by_test(self) -> Mapping[EvidenceTest, float]:
        """The value of each test, divided by the number of tests."""
        divisor = math.log(len(self.logs))
        return {
            test: math.exp(min(value - divisor, _LARGEST_LOG)) for test, value in self.logs.items()
        }

    @property
    def start(self) -> Start:
        """The leading start of the test with the largest value."""
        return self.starts[self.test]

    def fails(self, test: EvidenceTest) -> bool:
        """Return whether one test by itself demands a rollback."""
        log_value = self.logs.get(test, -math.inf) - math.log(len(self.logs))
        return log_value >= self._log_fail_line

    @property
    def _log_fail_line(self) -> float:
        return -math.log(float(self.false_alarms))

    @property
    def value(self) -> float:
        """The evidence; a value that a float does not hold is the largest one."""
        return math.exp(min(self.log_value, _LARGEST_LOG))

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
        """What the evidence demands."""
        if self.log_value >= self._log_fail_line:
            return EvidenceLevel.FAIL
        is_warned = self.log_value >= self._log_fail_line / 2
        return EvidenceLevel.WARN if is_warned else EvidenceLevel.NONE


def weigh(run: EvidenceRun, open_window: Arms, settings: EvidenceSettings) -> Evidence:
    """Return the evidence of a run and of the jobs since its last closed window.

    Args:
        run: the evidence of the closed windows.
        open_window: the jobs of both processors from `run.closed_until` on.
        settings: the limits of the tests.
    """
    numbers = kept_starts(run.began_at, run.closed_until)
    starts = {
        number: Start(run.start_of(number), open_window.baseline, open_window.new)
        for number in numbers
    }
    logs = {test: dict.fromkeys(numbers, 0.0) for test in EvidenceTest}
    for state in run.states:
        start = starts[state.number]
        starts[state.number] = replace(
            start, baseline=start.baseline + state.baseline, new=start.new + state.new
        )
        logs[EvidenceTest.REGRESSION][state.number] += state.regression
        logs[EvidenceTest.SLOWDOWN][state.number] += state.slowdown
    limit = settings.limit_share
    logs[EvidenceTest.HARD_LIMIT] = {
        number: log_hard_limit(start.new.errors, start.new.jobs, limit)
        for number, start in starts.items()
    }
    return Evidence(
        {test: log_weighted_sum(logs[test]) for test in settings.tests},
        settings.false_alarms,
        {test: starts[heaviest_start(logs[test])] for test in settings.tests},
    )
