"""Write a plan: state, history and generation, in the one transaction of the caller.

Nothing here decides; it writes the plan. History has one row for each change: a value, an entry of
a list, a mark, a threshold, or a new feature with all its initial values.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel

from reconciler.database.driver import execute
from reconciler.database.eligible_counts import (
    Counted,
    keep_counts,
    may_keep_counts,
    read_audiences,
)
from reconciler.database.history_writer import HistoryWriter
from reconciler.database.locks import OnWait, lock_writers, wait_silently
from reconciler.database.outbox import write_targets
from reconciler.database.overrides import write_overrides
from reconciler.database.processors import write_processors
from reconciler.database.queries import queries
from reconciler.database.write_back import look_again
from reconciler.planning.application import Application
from reconciler.planning.approvals import (
    approval_details,
    rule_details,
    stored_approvals,
)
from reconciler.planning.changes import ListChange, ScalarChange
from reconciler.planning.feature_config import Configuration, to_parameters, to_state
from reconciler.planning.field_types import plain
from reconciler.planning.history import Action
from reconciler.planning.plan import CategoriesPlan, FeatureAction, FeaturePlan, MarksPlan, Plan

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection

_SQL = queries("apply")

LOCK_TIMEOUT: Final = "60s"
IDLE_TIMEOUT: Final = "45s"
"""Shorter than the wait for a lock, so a waiter outlasts a holder with a lost connection."""
STATEMENT_TIMEOUT: Final = "5min"


def lock_for_apply(connection: "AnyConnection", on_wait: OnWait = wait_silently) -> None:
    """Lock out every other writer, applies and people with psql alike, until this transaction ends.

    Raises:
        Unavailable: another writer held the lock for too long; the message names it.
    """
    execute(
        connection,
        _SQL["limit_waiting"],
        {
            "lock_timeout": LOCK_TIMEOUT,
            "idle_timeout": IDLE_TIMEOUT,
            "statement_timeout": STATEMENT_TIMEOUT,
        },
    )
    lock_writers(connection, longest_wait=LOCK_TIMEOUT, on_wait=on_wait)
    execute(connection, _SQL["lock_configurations"])


def write_plan(connection: "AnyConnection", plan: Plan, application: Application) -> int:
    """Write a plan and its history; return the newest generation.

    A plan without changes writes no history and no generation: only the applied commit moves.
    """
    generation = plan.next_generation
    if plan.makes_generation:
        history = HistoryWriter(connection, generation, application.cause)
        for feature in plan.features:
            freeze = plan.overridden_freeze(feature)
            details = {} if freeze is None else freeze.details
            approval = approval_details(plan, feature, application.applied_by)
            _write_feature(connection, feature, history.with_details({**details, **approval}))
        # Thresholds before marks: a mark gives an uncategorised repository its present category.
        _write_categories(connection, plan.categories, history)
        _write_marks(connection, plan.test_repositories, history)
        write_targets(connection, plan.notifications)
        _record_named("notifications", plan.notifications.pairs, history)
        _record_named("freezes", plan.freezes.pairs, history)
        write_processors(connection, plan.processors)
        _record_named("processors", plan.processors.pairs, history)
        approved = rule_details(plan, application.applied_by)
        _record_named("approvals", plan.approvals.pairs, history.with_details(approved))
        _write_generation(connection, plan, application, generation)
        _keep_counts(connection, plan)
    there = {
        (name, each.override.id)
        for name, each in application.rollout.features.items()
        if each.override is not None
    }
    in_force = {
        (each.name, each.overrides.in_force.id)
        for each in plan.features
        if each.overrides.in_force is not None
    }
    look_again(connection, there=there, absent=in_force - there)
    execute(
        connection,
        _SQL["move_state"],
        {"generation": generation, "commit": application.source.commit},
    )
    return generation


def restore_configuration(
    connection: "AnyConnection", name: str, configuration: Configuration
) -> None:
    """Write a feature's values and lists as given; the caller writes its history."""
    parameters = _parameters(name, configuration)
    execute(connection, _SQL["update_configuration"], parameters)
    execute(connection, _SQL["update_lists"], parameters)


def write_unmarked(
    connection: "AnyConnection", entries: Mapping[str, str], history: HistoryWriter
) -> None:
    """Remove the marks as test that SQL set, id → name; each has its row of history."""
    execute(connection, _SQL["unmark_as_test"], {"ids": list(entries)})
    history.reverted_marks(entries, is_marked=False)


def _write_feature(
    connection: "AnyConnection", feature: FeaturePlan, history: HistoryWriter
) -> None:
    _write_configuration(connection, feature, history)
    write_overrides(connection, feature.name, feature.overrides.written)


def _write_configuration(
    connection: "AnyConnection", feature: FeaturePlan, history: HistoryWriter
) -> None:
    parameters = _parameters(feature.name, feature.after)
    match feature.action:
        case FeatureAction.NONE:
            return
        case FeatureAction.CREATE:
            execute(connection, _SQL["create_configuration"], parameters)
            history.change(
                Action.CREATED,
                feature=feature.name,
                details={"after": to_state(feature.after)},
                percentages=(None, feature.after.percentage),
            )
        case FeatureAction.UPDATE | FeatureAction.DEACTIVATE:
            execute(connection, _SQL["update_configuration"], parameters)
            if feature.before is None or _lists(feature.before) != _lists(feature.after):
                execute(connection, _SQL["update_lists"], parameters)
            for drift in feature.drift:
                history.drift(feature.name, drift)
            for override in feature.overrides.resumed:
                history.change(
                    Action.RESUMED,
                    feature=feature.name,
                    details={
                        "override": str(override.id),
                        "removed_from": "the file",
                        # The percentage of a stopped feature is not drift, so this row records it.
                        "after": {
                            "percentage": plain(feature.after.percentage),
                            "emergency_stop": feature.after.emergency_stop,
                        },
                    },
                )
            for edited in feature.edited_limits:
                history.change(
                    Action.UPDATED,
                    feature=feature.name,
                    details={
                        "override": str(edited.override),
                        "limit_before": plain(edited.before),
                        "limit_after": plain(edited.after),
                    },
                )
            for change in feature.recorded:
                _record_change(feature.name, change, history)


def _record_change(feature: str, change: ScalarChange | ListChange, history: HistoryWriter) -> None:
    match change:
        case ScalarChange(field, before, after):
            history.change(
                field.action(after),
                feature=feature,
                details={"field": field.name, "before": plain(before), "after": plain(after)},
                percentages=(before, after) if field.name == "percentage" else (None, None),
            )
        case ListChange(field, added, removed, resolved):
            details = {"field": field.name}
            history.entries(field.removed, feature=feature, details=details, entries=removed)
            history.entries(field.added, feature=feature, details=details, entries=added)
            history.entries(
                Action.UPDATED,
                feature=feature,
                details={**details, "resolved": True},
                entries=resolved,
            )


def _write_marks(connection: "AnyConnection", marks: MarksPlan, history: HistoryWriter) -> None:
    details = {"field": "test_repositories"}
    for action, statement, entries, adopted in (
        (Action.TEST_UNMARKED, "unmark_as_test", marks.removed, marks.adopted_removed),
        (Action.TEST_MARKED, "mark_as_test", marks.added, marks.adopted_added),
    ):
        if entries:
            execute(connection, _SQL[statement], {"ids": list(entries)})
        changed = {key: name for key, name in entries.items() if key not in marks.reverted}
        history.entries(action, feature=None, details=details, entries={**changed, **adopted})
        reverted = {key: name for key, name in entries.items() if key in marks.reverted}
        history.reverted_marks(reverted, is_marked=action is Action.TEST_MARKED)


def _write_categories(
    connection: "AnyConnection", categories: CategoriesPlan, history: HistoryWriter
) -> None:
    for category in categories.changed:
        after = asdict(categories.after[category])
        execute(connection, _SQL["move_threshold"], {"category": category.value, **after})
        history.change(
            Action.UPDATED,
            feature=None,
            details={
                "field": f"categories.{category.value}",
                "before": asdict(categories.before[category]),
                "after": after,
            },
        )
    if categories.changed:
        execute(connection, _SQL["categorize_all"])


def _record_named(
    key: str, pairs: Mapping[str, tuple[BaseModel | None, BaseModel | None]], history: HistoryWriter
) -> None:
    for name, (before, after) in pairs.items():
        history.change(
            Action.UPDATED,
            feature=None,
            details={
                "field": f"{key}.{name}",
                "before": None if before is None else before.model_dump(mode="json"),
                "after": None if after is None else after.model_dump(mode="json"),
            },
        )


def _write_generation(
    connection: "AnyConnection", plan: Plan, application: Application, generation: int
) -> None:
    source = application.source
    approved = stored_approvals(plan, application.applied_by)
    effective = {
        **({"approved": approved} if approved else {}),
        "names": dict(plan.names),
        "features": {feature.name: to_state(feature.after) for feature in plan.features},
        "test_repositories": sorted(plan.test_repositories.marked),
        "categories": {
            category.value: asdict(threshold)
            for category, threshold in plan.categories.after.items()
        },
    }
    execute(
        connection,
        _SQL["record_generation"],
        {
            "generation": generation,
            "commit": source.commit,
            "uncommitted": source.uncommitted,
            "file": source.file,
            "file_digest": source.digest,
            "desired": application.rollout.model_dump_json(exclude_defaults=True),
            "effective": json.dumps(effective),
            "applied_by": application.applied_by[:100],
        },
    )


def _keep_counts(connection: "AnyConnection", plan: Plan) -> None:
    counts = {
        feature.name: feature.blast_radius.count
        for feature in plan.features
        if feature.blast_radius is not None and feature.blast_radius.count is not None
    }
    if counts and may_keep_counts(connection):
        audiences = read_audiences(connection, list(counts))
        keep_counts(connection, [Counted(each, counts[each.feature]) for each in audiences])


def _lists(configuration: Configuration) -> tuple[frozenset[str], frozenset[str]]:
    return configuration.whitelist, configuration.exclusions


def _parameters(name: str, configuration: Configuration) -> dict[str, Any]:
    return {"feature_name": name, **to_parameters(configuration)}
