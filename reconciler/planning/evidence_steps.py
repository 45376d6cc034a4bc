"""The steps of the evidence: each block of a start with its factor, for people who check a verdict."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from reconciler.planning.evidence import (
    WINDOW,
    Block,
    EvidenceRun,
    EvidenceSettings,
    EvidenceState,
    window_of,
)
from reconciler.planning.evidence_value import Evidence

if TYPE_CHECKING:
    from rollout_client.targeting.categories import Category


@dataclass(frozen=True, slots=True)
class Step:
    """One block: its jobs, its factors, and the values of the comparison so far, all as logarithms."""

    block: Block
    regression: float
    slowdown: float
    regression_so_far: float
    slowdown_so_far: float


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


def _number_at(run: EvidenceRun, moment: datetime) -> int:
    return (window_of(moment) - window_of(run.began_at)) // WINDOW + 1
