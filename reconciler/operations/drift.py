"""Drift: show the changes of the live state, and adopt or revert those that block an apply.

Showing and reverting need no file: the last apply and the later overrides define the expected live
state. Adopting edits the file; people commit and apply it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reconciler.database.apply import lock_for_apply, restore_configuration
from reconciler.database.export import read_names
from reconciler.database.freezes import read_applied_freezes
from reconciler.database.history import HistoryEntry, read_entries_by_hand
from reconciler.database.history_writer import HistoryWriter
from reconciler.database.live_state import read_live
from reconciler.database.schema import require_newest
from reconciler.database.schema_objects import require_own_objects
from reconciler.database.transactions import Database, read_only_transaction, write_transaction
from reconciler.errors import Refused
from reconciler.operations.freeze_override import go_through
from reconciler.operations.listeners import Emit, emit_to_no_listener
from reconciler.operations.measure import judge_drift
from reconciler.planning.changes import named
from reconciler.planning.drift import Decision, Drift
from reconciler.planning.drift_adoption import (
    EntriesToAdd,
    EntriesToRemove,
    FileChange,
    ValueToSet,
    as_adopted,
    changes_to_adopt,
)
from reconciler.planning.feature_config import ListField
from reconciler.planning.history import HistoryCause
from reconciler.planning.marks import mark_drift
from reconciler.planning.plan_inputs import PlanInputs
from reconciler.planning.planner import feature_drift
from reconciler.rollout_file.editing import with_entries, with_value, without_entries
from reconciler.rollout_file.model import Feature, Rollout
from reconciler.rollout_file.reader import parse_rollout

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection
    from reconciler.operations.events import FreezeOverridden

DriftByFeature = Mapping[str, tuple[Drift, ...]]


def read_drift(database: Database) -> DriftByFeature:
    """Return the drift of every feature that has any, with the effect of an apply on it."""
    with read_only_transaction(database) as connection:
        require_newest(connection)
        return _find(_read_basis(connection))


def read_drift_of_own_schema(database: Database) -> DriftByFeature:
    """Return the same as `read_drift`, if the database's functions, triggers and views are the schema's.

    Raises:
        SetupInvalid: one of them differs, so services get other answers than the ones compared here.
    """
    with read_only_transaction(database) as connection:
        require_newest(connection)
        require_own_objects(connection)
        return _find(_read_basis(connection))


@dataclass(frozen=True, slots=True)
class MarkDrift:
    """The repositories whose mark as test SQL changed since the last apply, by name."""

    set: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


def read_mark_drift(database: Database) -> MarkDrift:
    """Return the marks as test that SQL set and removed since the last apply."""
    with read_only_transaction(database) as connection:
        require_newest(connection)
        found = read_live(connection, Rollout(version=1))
    changed = mark_drift(found.live, found.applied)
    return MarkDrift(*(tuple(named(ids, found.live.directory).values()) for ids in changed))


def read_drift_causes(database: Database) -> Mapping[str, HistoryEntry]:
    """Return the newest history entry of each feature that people wrote by hand since the last apply.

    A statement that changes the live state by hand should write one, as those of the runbook do.
    """
    with read_only_transaction(database) as connection:
        require_newest(connection)
        return read_entries_by_hand(connection)


def revert_held_drift(
    database: Database,
    features: Collection[str],
    *,
    by: str,
    reason: str,
    allows_freeze: bool = False,
    emit: Emit = emit_to_no_listener,
) -> DriftByFeature:
    """Revert the held drift of these features at once; return the reverted drift.

    Kept drift stays.

    Raises:
        Refused: a freeze holds a feature, and `allows_freeze` is false: this widens the feature again.
    """
    overridden: list[FreezeOverridden] = []

    def revert(connection: "AnyConnection") -> DriftByFeature:
        require_newest(connection)
        lock_for_apply(connection)
        inputs = _read_basis(connection)
        found = {name: drift for name, drift in _find(inputs).items() if name in features}
        held = {
            name: tuple(
                replace(each, decision=Decision.REVERT)
                for each in drift
                if each.decision is Decision.HOLD
            )
            for name, drift in found.items()
        }
        freezes = read_applied_freezes(connection)
        overridden.clear()
        for name, drift in held.items():
            hold = freezes.hold(name) if drift else None
            if hold is not None and not allows_freeze:
                raise Refused(
                    f"{name}: {hold.sentence}; nothing was reverted; to revert in it, add --allow freeze"
                )
            cause = HistoryCause(by=by, reason=reason)
            if hold is not None:
                cause, event = go_through(hold, name, cause, inputs.live.generation)
                overridden.append(event)
            history = HistoryWriter(connection, inputs.live.generation, cause)
            live = inputs.live.features[name].configuration
            for each in drift:
                live = replace(live, **{each.field.name: each.last_applied})
                history.drift(name, each)
            restore_configuration(connection, name, live)
        return {name: drift for name, drift in held.items() if drift}

    reverted = write_transaction(database, revert)
    for each in overridden:
        emit(each)
    return reverted


def adopt_held_drift(
    database: Database, content: bytes, features: Collection[str]
) -> tuple[DriftByFeature, bytes]:
    """Return the held drift of these features, and a rollout file's content that declares it.

    Raises:
        EditRefused: the file cannot declare it without other changes.
        FileInvalid: the file is not accepted as it is.
        NotFound: the file has no such feature.
    """
    rollout = parse_rollout(content).rollout
    with read_only_transaction(database) as connection:
        require_newest(connection)
        found = _find(_read_basis(connection))
        adopted = {name: as_adopted(found[name]) for name in found if name in features}
        adopted = {name: drift for name, drift in adopted.items() if drift}
        directory = read_live(connection, rollout).live.directory
        lists = (
            each.live
            for drift in adopted.values()
            for each in drift
            if isinstance(each.field, ListField)
        )
        names = read_names(connection, frozenset[str]().union(*lists))
    for name, drift in adopted.items():
        feature = rollout.features.get(name, Feature())
        for change in changes_to_adopt(feature, drift, directory, names):
            content = _made(content, name, change)
    return adopted, content


def _made(content: bytes, feature: str, change: FileChange) -> bytes:
    path = ("features", feature, change.key)
    match change:
        case ValueToSet(value=value):
            return with_value(content, path, value)
        case EntriesToRemove(entries=entries):
            return without_entries(content, path, entries)
        case EntriesToAdd(entries=entries):
            return with_entries(content, path, entries)


def _read_basis(connection: "AnyConnection") -> PlanInputs:
    found = read_live(connection, Rollout(version=1))
    inputs = PlanInputs(found.live, found.applied)
    return replace(inputs, audience=judge_drift(connection, inputs))


def _find(inputs: PlanInputs) -> DriftByFeature:
    drift = {name: feature_drift(name, inputs) for name in inputs.live.features}
    return {name: found for name, found in drift.items() if found}
