"""Marks as test: the desired ones, the changes of an apply, and the changes by SQL since the last apply.

A mark makes a repository eligible early under the strategy `repository_size`. So a mark that SQL removed
narrows: an apply restores it only with a permission. A mark that SQL set widens: it is reverted.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from pydantic import BaseModel, ConfigDict

from reconciler.planning.changes import named
from reconciler.planning.desired import desired_marks
from reconciler.planning.drift import Decision, Drift
from reconciler.planning.feature_config import ListField
from reconciler.planning.field_types import ENTRIES, Direction
from reconciler.planning.guards import Finding, guard_marks, guard_names
from reconciler.planning.history import Action
from reconciler.planning.live_state import Live
from reconciler.planning.plan import FeaturePlan, MarksPlan
from reconciler.planning.plan_inputs import LastApplied, PlanInputs
from reconciler.rollout_file.model import Rollout
from rollout_client.targeting.strategy import Strategy

TEST_REPOSITORIES: Final = ListField(
    name="test_repositories",
    column="test_repositories",
    type=ENTRIES,
    declared_at=None,
    adding=Direction.WIDENS,
    added=Action.TEST_MARKED,
    removed=Action.TEST_UNMARKED,
)
"""The marks as a list, for drift; they belong to no feature."""


def plan_marks(rollout: Rollout, inputs: PlanInputs) -> MarksPlan:
    """Compare the desired marks with the last apply and the live state."""
    live, directory = inputs.live, inputs.live.directory
    entries = rollout.test_repositories
    marks = desired_marks(rollout, directory)
    set_by_sql, removed_by_sql = mark_drift(live, inputs.applied)
    return MarksPlan(
        marked=marks,
        added=named(marks - live.marked, directory),
        removed=named(live.marked - marks, directory),
        unresolved=directory.unresolved(entries, directory.keys(entries)),
        reverted=named((set_by_sql - marks) | (removed_by_sql & marks), directory),
        adopted_added=named(set_by_sql & marks, directory),
        adopted_removed=named(removed_by_sql - marks, directory),
    )


def mark_drift(live: Live, applied: LastApplied) -> tuple[frozenset[str], frozenset[str]]:
    """Return the ids that SQL marked since the last apply, and those whose mark it removed.

    An apply of an older release stored no marks. Then the names of its file show the removed ones.
    """
    if applied.marks is None:
        return frozenset(), applied.listed_as_test - live.marked
    return live.marked - applied.marks, applied.marks - live.marked


def marks_widened_by_hand(live: Live, applied: LastApplied) -> Drift | None:
    """Return the drift of marks that a resume reverts: those that SQL set; None without any.

    A mark that SQL removed only narrows. The next apply restores it, with a permission.
    """
    set_by_sql, _ = mark_drift(live, applied)
    if not set_by_sql:
        return None
    return Drift(TEST_REPOSITORIES, live.marked - set_by_sql, live.marked, Decision.REVERT)


def with_mark_findings(
    feature: FeaturePlan, rollout: Rollout, marks: MarksPlan, live: Live
) -> FeaturePlan:
    """Return a plan with a finding for each risky mark, if marks make repositories eligible here."""
    if feature.after.strategy is not Strategy.REPOSITORY_SIZE:
        return feature
    findings = tuple(_findings(rollout, marks, live))
    return replace(feature, findings=(*feature.findings, *findings))


def _findings(rollout: Rollout, marks: MarksPlan, live: Live) -> Iterator[Finding]:
    yield from guard_names(rollout.test_repositories, live.directory)
    restored = {key: name for key, name in marks.reverted.items() if key in marks.added}
    yield from guard_marks(restored)


class MarksReport(BaseModel):
    """Repositories that become test repositories, and that no longer are."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    added: list[str]
    removed: list[str]
    unresolved: list[str]
    reverted: list[str] = []
    """Those of `added` and `removed` that undo a change by SQL."""


def report_marks(marks: MarksPlan) -> MarksReport:
    """Return the marks as the JSON of a plan has them."""
    return MarksReport(
        added=list(marks.added.values()),
        removed=list(marks.removed.values()),
        unresolved=list(marks.unresolved),
        reverted=list(marks.reverted.values()),
    )
