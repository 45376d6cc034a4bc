"""The evidence of a feature over time: its steps with their factors, and its values for a chart.

Both follow the leading start. The stored run has one state for each start and no past values. So a
series has the part of one start in the evidence: the leading start of the largest test now. At every
earlier time the evidence was at least this much.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Final

from reconciler.planning.evidence import (
    NO_COUNTS,
    WINDOW,
    Block,
    EvidenceRun,
    EvidenceSettings,
    EvidenceState,
    EvidenceTest,
    window_of,
)
from reconciler.planning.evidence_formulas import log_hard_limit, log_weighted_sum
from reconciler.planning.evidence_value import Evidence

if TYPE_CHECKING:
    from rollout_client.targeting.categories import Category

_LARGEST_LOG: Final = 700.0


@dataclass(frozen=True, slots=True)
class Step:
    """One block: its jobs, its factors, and the values of the comparison so far, all as logarithms."""

    block: Block
    regression: float
    slowdown: float
    regression_so_far: float
    slowdown_so_far: float


@dataclass(frozen=True, slots=True)
class EvidencePoint:
    """The evidence once the windows up to a time are counted."""

    at: datetime
    value: float
    jobs: int
    """The jobs of the judged processor since the start."""
    errors: int


@dataclass(frozen=True, slots=True)
class EvidenceSeries:
    """The evidence over time, with the two lines that it is compared with."""

    since: datetime
    """The start that it is about."""
    test: EvidenceTest
    points: Sequence[EvidencePoint]
    """In order of time; the last one is the evidence now."""
    warn_line: float
    fail_line: float


def list_steps(
    run: EvidenceRun, blocks: Iterable[Block], evidence: Evidence, settings: EvidenceSettings
) -> tuple[Step, ...]:
    """Return the blocks since the leading start of the largest test.

    Args:
        run: a run without jobs.
        blocks: every block since the stage began; those of the open window have no factor.
        evidence: the evidence of the feature.
        settings: the limits of the tests.
    """
    number = _number_at(run, evidence.start.at)
    steps: list[Step] = []
    so_far = [0.0, 0.0]
    states: dict[Category, EvidenceState] = {}
    for block in sorted(blocks, key=lambda each: (each.window_start, each.category)):
        if block.window_start < window_of(evidence.start.at):
            continue
        before = states.get(block.category, EvidenceState(number, block.category))
        after = before.after(block, settings)
        states[block.category] = after
        factors = after.regression - before.regression, after.slowdown - before.slowdown
        so_far = [so_far[0] + factors[0], so_far[1] + factors[1]]
        steps.append(Step(block, *factors, *so_far))
    return tuple(steps)


def evidence_series(
    began_at: datetime,
    steps: Iterable[Step],
    evidence: Evidence,
    settings: EvidenceSettings,
    now: datetime,
) -> EvidenceSeries:
    """Return the evidence at the end of each closed window with a job, and now.

    Args:
        began_at: when the stage began.
        steps: the blocks since the leading start, as `list_steps` returns them.
        evidence: the evidence of the feature now.
        settings: the limits of the tests.
        now: the time of the last point.
    """
    start = evidence.start
    windows = (window_of(start.at) - window_of(began_at)) // WINDOW
    number = windows + 1
    points = [EvidencePoint(start.at, 0.0, 0, 0)]
    new = NO_COUNTS
    for window, found in groupby(steps, key=lambda step: step.block.window_start):
        blocks = list(found)
        for step in blocks:
            new += step.block.new
        logs: Mapping[EvidenceTest, float] = {
            EvidenceTest.HARD_LIMIT: log_hard_limit(new.errors, new.jobs, settings.limit_share),
            EvidenceTest.REGRESSION: blocks[-1].regression_so_far,
            EvidenceTest.SLOWDOWN: blocks[-1].slowdown_so_far,
        }
        largest = max(log_weighted_sum({number: logs[test]}) for test in settings.tests)
        value = math.exp(min(largest - math.log(len(settings.tests)), _LARGEST_LOG))
        points.append(EvidencePoint(window + WINDOW, value, new.jobs, new.errors))
    jobs, errors = start.new.jobs, start.new.errors
    points.append(EvidencePoint(now, evidence.value, jobs, errors))
    return EvidenceSeries(start.at, evidence.test, points, evidence.warn_line, evidence.fail_line)


def _number_at(run: EvidenceRun, moment: datetime) -> int:
    return (window_of(moment) - window_of(run.began_at)) // WINDOW + 1
