"""Read the live state: configuration, overrides, marks, thresholds, and the meaning of a file's names.

Reads in the caller's transaction and writes nothing; the rights of a reader are enough.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

from reconciler.database.arrays import plain_array, text_array
from reconciler.database.driver import execute
from reconciler.database.outbox import read_targets
from reconciler.database.overrides import read_overrides
from reconciler.database.processors import read_processors
from reconciler.database.queries import queries
from reconciler.planning.feature_config import Configuration, configuration_from_row
from reconciler.planning.live_state import Directory, Live, LiveFeature, read_adopted
from reconciler.planning.plan_inputs import NOTHING_APPLIED, LastApplied, read_generation
from reconciler.rollout_file.list_entries import entry_keys, is_pattern
from reconciler.rollout_file.model import Rollout
from reconciler.uuid_text import uuids_among
from rollout_client.targeting.categories import Category, Threshold

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection

_SQL = queries("live_state")


@dataclass(frozen=True, slots=True)
class Found:
    """The inputs of a plan from the database: the live state, and the state that the last apply stored."""

    live: Live
    applied: LastApplied


def read_live(connection: "AnyConnection", rollout: Rollout) -> Found:
    """Return the state of the database, and the meaning of this desired state's names in it."""
    state = execute(connection, _SQL["state"]).one()
    features = _read_features(connection)
    marked = frozenset(execute(connection, _SQL["marked"]).scalars())
    stored = execute(
        connection, _SQL["last_applied"], {"generation": state.generation}
    ).one_or_none()
    applied = (
        NOTHING_APPLIED if stored is None else read_generation(stored.desired, stored.effective)
    )
    features = _with_begin(connection, features, applied)
    live = Live(
        generation=state.generation,
        applied_commit=state.applied_commit,
        features=features,
        marked=marked,
        thresholds=read_thresholds(connection),
        directory=_read_directory(
            connection,
            rollout,
            features,
            marked | (applied.marks or applied.listed_as_test),
            applied,
        ),
        targets=read_targets(connection),
        now=state.now,
        processors=read_processors(connection),
    )
    return Found(live, applied)


def read_configurations(connection: "AnyConnection") -> Mapping[str, Configuration]:
    """Return every feature's configuration by name."""
    rows = execute(connection, _SQL["configurations"]).mappings()
    return {row["feature_name"]: configuration_from_row(row) for row in rows}


def read_thresholds(connection: "AnyConnection") -> Mapping[Category, Threshold]:
    """Return every category's threshold."""
    rows = execute(connection, _SQL["thresholds"])
    return {
        Category(row.category): Threshold(
            row.stars, row.contributors, row.pull_requests, row.priority
        )
        for row in rows
    }


def _read_features(connection: "AnyConnection") -> Mapping[str, LiveFeature]:
    overrides = read_overrides(connection)
    return {
        row["feature_name"]: LiveFeature(
            id=row["id"],
            configuration=configuration_from_row(row),
            updated_at=row["updated_at"],
            overrides=overrides.get(row["id"], ()),
        )
        for row in execute(connection, _SQL["configurations"]).mappings()
    }


def _with_begin(
    connection: "AnyConnection", features: Mapping[str, LiveFeature], applied: LastApplied
) -> Mapping[str, LiveFeature]:
    """Return the features, each with its first state if no apply has stored it."""
    unknown = [name for name in features if name not in applied.features]
    if not unknown:
        return features
    rows = execute(connection, _SQL["before_any_apply"], {"features": unknown})
    begun = {
        row.feature_name: replace(
            features[row.feature_name],
            was_lowered=row.was_lowered,
            was_deactivated=row.was_deactivated,
            adopted=read_adopted(features[row.feature_name].configuration, row.adopted),
        )
        for row in rows
    }
    return {**features, **begun}


def _read_directory(
    connection: "AnyConnection",
    rollout: Rollout,
    features: Mapping[str, LiveFeature],
    marked: frozenset[str],
    applied: LastApplied,
) -> Directory:
    remembered = applied.names
    lists = [
        entries
        for feature in rollout.features.values()
        for entries in (feature.whitelist, feature.exclusions)
    ]
    listed = set(entry_keys(chain.from_iterable(lists)))
    tests = set(entry_keys(rollout.test_repositories))
    configurations = [found.configuration for found in features.values()]
    live = set[str]().union(
        *(keys for each in configurations for keys in (each.whitelist, each.exclusions))
    )
    in_file = listed | tests
    written = [key for key in in_file - uuids_among(in_file) if not is_pattern(key)]
    still_meant = {name: remembered[name] for name in remembered.keys() & written}
    excluded = {
        identifier
        for each in applied.features.values()
        for identifier in each.excluded_names.values()
    }
    mentioned = in_file | live | marked | set(still_meant.values()) | excluded
    patterns = [key for key in tests if is_pattern(key)]
    wanted = {
        "names": text_array(written),
        "patterns": text_array(patterns),
        "ids": plain_array(uuids_among(mentioned)),
    }
    found = execute(connection, _SQL["directory"], wanted).one()

    identifiers = found.ids.split(",") if found.ids else []
    meanings = list(zip(found.written_keys, identifiers, strict=True))
    ids: dict[str, str] = {key: each for key, each in meanings if key is not None}
    owned: defaultdict[str, set[str]] = defaultdict(set)
    if patterns:
        for key, identifier in meanings:
            if key is not None and is_pattern(key):
                owned[key].add(identifier)
                ids.pop(key, None)
    names: dict[str, str] = dict(zip(identifiers, found.names, strict=True))
    return Directory(
        ids=ids,
        names=names,
        owned={pattern: frozenset(repositories) for pattern, repositories in owned.items()},
        remembered=still_meant,
    )
