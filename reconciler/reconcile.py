"""The first loop: file → plan → apply.

`preview` and `apply` make the same plan by the same code; a preview does so in a transaction that cannot
write, an apply in one that lets nobody in between.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.database.applying import Application, lock_for_apply, write_plan
from reconciler.database.blast_radius import measure_blast_radius
from reconciler.database.live import read_live
from reconciler.database.schema import require_newest
from reconciler.database.transactions import (
    Database,
    read_only_transaction,
    write_transaction,
)
from reconciler.errors import Stale
from reconciler.git.commit import read_head
from reconciler.planning.plan import FeatureAction, FeaturePlan, Plan, make_plan
from reconciler.planning.source import Source

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from reconciler.rollout_file.model import Rollout
    from reconciler.rollout_file.reader import Document


@dataclass(frozen=True, slots=True)
class Applied:
    """What an apply did, and the newest generation after it."""

    plan: Plan
    generation: int


def read_source(document: "Document") -> Source:
    """Return which file at which commit a document is."""
    head = read_head(Path(document.path).absolute())
    return Source(
        file=document.path,
        digest=document.digest,
        commit=None if head is None else head.commit,
        uncommitted=head is not None and head.uncommitted,
        subject=None if head is None else head.subject,
    )


def preview(database: Database, rollout: "Rollout") -> Plan:
    """Return what an apply would do now; writes nothing, and needs only SELECT."""
    with read_only_transaction(database) as connection:
        require_newest(connection)
        return plan_against(connection, rollout)


def apply(database: Database, application: Application, *, expected: Plan | None = None) -> Applied:
    """Plan and write, as one transaction; return what was done.

    Raises:
        Stale: `expected` is a plan that was shown, and it is no longer what would be done.
    """

    def plan_and_write(connection: "Connection") -> Applied:
        require_newest(connection)
        lock_for_apply(connection)
        plan = plan_against(connection, application.rollout)
        if expected is not None and plan != expected:
            raise Stale(
                "the database moved since this plan was shown; nothing was written; run it again"
            )
        return Applied(plan, write_plan(connection, plan, application))

    return write_transaction(database, plan_and_write)


def plan_against(connection: "Connection", rollout: "Rollout") -> Plan:
    """Return the plan for what this transaction sees, with the blast radius of each feature it moves."""
    plan = make_plan(rollout, read_live(connection, rollout))
    if not plan.has_changes:
        return plan
    measure = _measuring(connection, plan)
    return replace(plan, features=tuple(map(measure, plan.features)))


def _measuring(connection: "Connection", plan: Plan) -> Callable[[FeaturePlan], FeaturePlan]:
    marks, categories = plan.test_repositories, plan.categories
    # Marks and thresholds can move who is in of a feature that itself does not change.
    audience_moves = bool(len(marks) or categories.changed)

    def measure(feature: FeaturePlan) -> FeaturePlan:
        if feature.action is FeatureAction.NONE and not audience_moves:
            return feature
        radius = measure_blast_radius(
            connection,
            feature.name,
            feature.after.targeting,
            marked=tuple(marks.added),
            unmarked=tuple(marks.removed),
            thresholds=categories.after if categories.changed else None,
        )
        return replace(feature, blast_radius=radius)

    return measure
