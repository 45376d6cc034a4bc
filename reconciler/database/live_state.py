"""Reading the live state: configuration, overrides, marks, thresholds, and what a file's names mean.

Reads in the transaction that it is given and writes nothing; a role with SELECT only is enough.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import text

from reconciler.database.overrides import read_overrides
from reconciler.database.queries import queries
from reconciler.planning.feature_config import Configuration, from_state
from reconciler.planning.live_state import Directory, Live, LiveFeature
from reconciler.planning.plan_inputs import NOTHING_APPLIED, AppliedFeature, LastApplied
from reconciler.rollout_file.list_entries import entry_key, is_pattern
from reconciler.rollout_file.model import Rollout
from reconciler.targeting.categories import Category, Threshold
from reconciler.targeting.eligibility import folded
from reconciler.targeting.strategy import Strategy
from reconciler.uuid_text import is_uuid

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

_SQL = queries("live_state")


@dataclass(frozen=True, slots=True)
class Found:
    """The database's side of a plan: what is live, and what the last apply stored."""

    live: Live
    applied: LastApplied


def read_live(connection: "Connection", rollout: Rollout) -> Found:
    """Return what the database holds, and what this desired state's names mean in it."""
    state = connection.execute(text(_SQL["state"])).one()
    features = _read_features(connection)
    marked = frozenset(connection.execute(text(_SQL["marked"])).scalars())
    stored = connection.execute(
        text(_SQL["last_applied"]), {"generation": state.generation}
    ).one_or_none()
    remembered = {} if stored is None else stored.effective["names"]
    live = Live(
        generation=state.generation,
        applied_commit=state.applied_commit,
        features=features,
        marked=marked,
        thresholds=read_thresholds(connection),
        directory=_read_directory(connection, rollout, features, marked, remembered),
    )
    return Found(live, NOTHING_APPLIED if stored is None else _last_applied(stored))


def read_configurations(connection: "Connection") -> Mapping[str, Configuration]:
    """Return every feature's configuration by name."""
    rows = connection.execute(text(_SQL["configurations"]))
    return {row.feature_name: _configuration(row) for row in rows}


def read_feature_names(connection: "Connection") -> Sequence[str]:
    """Return every feature's name, without reading how it is configured."""
    return connection.execute(text(_SQL["feature_names"])).scalars().all()


def read_thresholds(connection: "Connection") -> Mapping[Category, Threshold]:
    """Return every category's threshold."""
    rows = connection.execute(text(_SQL["thresholds"]))
    return {
        Category(row.category): Threshold(
            row.stars, row.contributors, row.pull_requests, row.priority
        )
        for row in rows
    }


def _read_features(connection: "Connection") -> Mapping[str, LiveFeature]:
    overrides = read_overrides(connection)
    return {
        row.feature_name: LiveFeature(
            row.id, _configuration(row), row.updated_at, overrides.get(row.id, ())
        )
        for row in connection.execute(text(_SQL["configurations"]))
    }


def _configuration(row: "Row[Any]") -> Configuration:
    return Configuration(
        active=row.is_active,
        emergency_stop=row.emergency_stop,
        strategy=Strategy(row.rollout_strategy),
        percentage=row.rollout_percentage,
        salt=row.salt,
        whitelist=_keys(row.target_repositories),
        exclusions=_keys(row.excluded_repositories),
        max_error_rate=row.max_error_rate,
        min_jobs=row.min_jobs,
        window=row.monitoring_window,
        auto_rollback=row.auto_rollback_enabled,
        rollback_to=row.rollback_to,
        description=row.description,
    )


def _last_applied(stored: "Row[Any]") -> LastApplied:
    desired = stored.desired.get("features", {})
    return LastApplied(
        features={
            name: _applied_feature(desired.get(name), from_state(state))
            for name, state in stored.effective["features"].items()
        }
    )


def _applied_feature(desired: Mapping[str, Any] | None, effective: Configuration) -> AppliedFeature:
    """Undo the override: what it limits stands as it was meant in the file."""
    if desired is None:
        return AppliedFeature(effective, None)
    override = desired.get("override")
    return AppliedFeature(
        desired=replace(
            effective, percentage=Decimal(str(desired.get("percentage", 0))), emergency_stop=False
        ),
        override=None if override is None else UUID(override["id"]),
    )


def _keys(entries: Iterable[str | None]) -> frozenset[str]:
    """Return an array's entries as keys, forgiving what hand-written SQL may leave in it."""
    return frozenset(folded(entry.strip(" ")) for entry in entries if entry is not None)


def _read_directory(
    connection: "Connection",
    rollout: Rollout,
    features: Mapping[str, LiveFeature],
    marked: frozenset[str],
    remembered: Mapping[str, str],
) -> Directory:
    listed = {
        entry_key(entry)
        for feature in rollout.features.values()
        for entry in (*feature.whitelist, *feature.exclusions)
    }
    tests = {entry_key(entry) for entry in rollout.test_repositories}
    configurations = [found.configuration for found in features.values()]
    live = {key for each in configurations for key in (*each.whitelist, *each.exclusions)}
    written = [key for key in listed | tests if not is_uuid(key) and not is_pattern(key)]
    still_meant = {name: remembered[name] for name in written if name in remembered}
    mentioned = listed | tests | live | marked | set(still_meant.values())
    wanted = {
        "names": written,
        "patterns": [key for key in tests if is_pattern(key)],
        "ids": [key for key in mentioned if is_uuid(key)],
    }
    found = connection.execute(
        text(_SQL["directory"]), {name: json.dumps(keys) for name, keys in wanted.items()}
    ).scalar_one()

    ids: dict[str, str] = {}
    names: dict[str, str] = {}
    owned: defaultdict[str, set[str]] = defaultdict(set)
    for identifier, name, key in found:
        names[identifier] = name
        if key is None:
            continue
        if is_pattern(key):
            owned[key].add(identifier)
        else:
            ids[key] = identifier
    return Directory(
        ids=ids,
        names=names,
        owned={pattern: frozenset(repositories) for pattern, repositories in owned.items()},
        remembered=still_meant,
    )
