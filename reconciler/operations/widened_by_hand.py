"""What SQL widened beside a feature's limit: a resume reverts it, because the limit alone hid it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from reconciler.database.apply import restore_configuration, write_unmarked
from reconciler.database.blast_radius import measure_blast_radius
from reconciler.database.connection import sqlstate
from reconciler.database.driver import driver_error
from reconciler.database.history_writer import HistoryWriter
from reconciler.database.live_state import read_live
from reconciler.errors import Refused
from reconciler.operations.measure import judge_drift
from reconciler.planning.changes import named
from reconciler.planning.drift import Drift, reverted_by_resume
from reconciler.planning.exposure import Exposure
from reconciler.planning.feature_config import Configuration
from reconciler.planning.marks import marks_widened_by_hand
from reconciler.planning.plan_inputs import PlanInputs
from reconciler.planning.planner import feature_drift
from reconciler.rollout_file.model import Rollout
from reconciler.wording import counted
from rollout_client.targeting.strategy import Strategy

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection
    from rollout_client.targeting.categories import Category, Threshold

_NOT_PERMITTED: Final = "42501"
"""The SQLSTATE of a missing right."""


@dataclass(frozen=True, slots=True)
class WidenedByHand:
    """A feature's live configuration, and what a resume reverts."""

    live: Configuration
    fields: tuple[Drift, ...] = ()
    """The fields of the feature."""
    marks: Drift | None = None
    """The marks as test, which belong to no feature; None if the feature's strategy does not use them."""
    unmarked: Mapping[str, str] | None = None
    """The repositories that SQL marked as test: id → name."""

    @property
    def reverted(self) -> tuple[Drift, ...]:
        """All that a resume reverts."""
        return self.fields if self.marks is None else (*self.fields, self.marks)

    def after(self, exposure: Exposure) -> Configuration:
        """Return the feature's configuration after a resume to an exposure."""
        return replace(
            self.live,
            active=exposure.active,
            emergency_stop=exposure.emergency_stop,
            percentage=exposure.percentage,
            **{each.field.name: each.last_applied for each in self.fields},
        )


def read_widened(connection: "AnyConnection", feature: str, after: Exposure) -> WidenedByHand:
    """Return a feature's live configuration, and what a resume of it to an exposure reverts.

    Reads the lists of all features, which a stop does not.

    Raises:
        Refused: SQL changed the thresholds of categories, and repositories would be eligible by that.
    """
    found = read_live(connection, Rollout(version=1))
    live = replace(found.live, features={feature: found.live.features[feature]})
    inputs = PlanInputs(live, found.applied)
    inputs = replace(inputs, audience=judge_drift(connection, inputs))
    marks = marks_widened_by_hand(live, found.applied)
    applied = found.applied.thresholds
    moved_thresholds = None if applied == live.thresholds else applied
    fields = reverted_by_resume(
        feature_drift(feature, inputs),
        others_moved=marks is not None or moved_thresholds is not None,
    )
    widened = WidenedByHand(live.features[feature].configuration, fields)
    if widened.after(after).strategy is not Strategy.REPOSITORY_SIZE:
        return widened
    if marks is not None:
        unmarked = named(marks.live - marks.last_applied, live.directory)
        widened = replace(widened, marks=marks, unmarked=unmarked)
    if moved_thresholds is not None:
        _refuse_moved_thresholds(connection, feature, widened.after(after), moved_thresholds)
    return widened


def _refuse_moved_thresholds(
    connection: "AnyConnection",
    feature: str,
    after: Configuration,
    thresholds: "Mapping[Category, Threshold]",
) -> None:
    """Refuse a resume if repositories would be eligible only by thresholds that SQL changed.

    An apply reverts them: that categorises all repositories, which takes too long here.
    """
    targeting = after.targeting
    moved = measure_blast_radius(connection, feature, targeting, targeting, thresholds=thresholds)
    if moved.lost:
        raise Refused(
            "SQL changed the thresholds of categories beside the limit, and "
            f"{counted(moved.lost, 'repository')} would be eligible by that; nothing was written; "
            "apply the file first, which reverts them: reconcile"
        )


def write_reverted(
    connection: "AnyConnection",
    feature: str,
    widened: WidenedByHand,
    after: Exposure,
    history: HistoryWriter,
) -> None:
    """Revert what SQL widened; each field and each mark has its row of history, as in an apply.

    Raises:
        Refused: the account may change limits only.
    """
    try:
        if widened.fields:
            restore_configuration(connection, feature, widened.after(after))
        if widened.unmarked:
            write_unmarked(connection, widened.unmarked, history)
    except Exception as error:
        original = driver_error(error)
        if original is None or sqlstate(original) != _NOT_PERMITTED:
            raise
        columns = " and ".join(each.field.column for each in widened.reverted)
        raise Refused(
            f"SQL widened {columns} beside the limit, and this account may not revert that; nothing was "
            "written; apply the file first, which reverts it: reconcile; or use an account of "
            "rollout_reconciler"
        ) from error
    for each in widened.fields:
        history.drift(feature, each)
