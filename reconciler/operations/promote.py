"""Promotion: write the next stage of a feature into the file when every condition holds.

The plan that an apply of the promoted file would make decides. People, or a workflow, commit the file; the
database is only read.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import EditRefused
from reconciler.operations import reconcile
from reconciler.operations.reconcile import read_source
from reconciler.planning.application import Application
from reconciler.planning.approvals import without_approvals
from reconciler.planning.promotion import Missing, Step, missing_for, next_step
from reconciler.rollout_file.editing import edit_rollout_file, with_value
from reconciler.rollout_file.reader import Document, parse_rollout

if TYPE_CHECKING:
    from reconciler.database.transactions import Database
    from reconciler.planning.health import MetricsSource
    from reconciler.planning.plan import Plan
    from reconciler.planning.plan_inputs import Source


@dataclass(frozen=True, slots=True)
class Promotion:
    """A step that was written into the file, or that waits for missing conditions."""

    step: Step
    missing: tuple[Missing, ...]
    plan: "Plan"
    """The effect of an apply of the promoted file."""
    source: "Source"
    """The promoted file."""
    content: bytes
    """Of the promoted file."""


def promote(
    database: "Database",
    document: Document,
    feature: str,
    *,
    by: str,
    metrics_source: "MetricsSource | None" = None,
) -> Promotion | None:
    """Write a feature's next stage into the file if every condition holds; None without a next stage.

    Args:
        database: the rollout's database.
        document: the file as it was read.
        feature: its name there.
        by: the person who promotes.
        metrics_source: the source of metrics; None for the database.

    Raises:
        EditRefused: the file cannot be edited so, or changed meanwhile.
        Stale: a newer commit is applied already.
        Refused: history was rewritten since the last apply.
    """
    declared = document.rollout.features[feature]
    step = next_step(declared)
    if step is None:
        return None
    promoted = parse_rollout(_with_stage(document.content, feature, step), path=document.path)
    source = read_source(promoted)
    source = replace(source, uncommitted=source.commit is not None)

    def plan_of(rollout_of: Document) -> "Plan":
        application = Application(source, rollout_of.rollout, by, metrics_source)
        # People approve the pull request of the promotion, which does not exist yet.
        return without_approvals(reconcile.preview(database, application))

    (current,) = (each for each in plan_of(document).features if each.name == feature)
    plan = plan_of(promoted)
    missing = missing_for(declared, current, plan)
    if not missing:
        _write(document, promoted)
    return Promotion(step, missing, plan, source, promoted.content)


def _with_stage(content: bytes, feature: str, step: Step) -> bytes:
    return with_value(content, ("features", feature, "percentage"), step.stage.percentage)


def _write(document: Document, promoted: Document) -> None:
    def replace_what_was_read(content: bytes) -> bytes:
        if content != document.content:
            raise EditRefused("the file changed during the edit; try again")
        return promoted.content

    edit_rollout_file(Path(document.path), replace_what_was_read)
