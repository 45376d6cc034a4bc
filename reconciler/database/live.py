"""Reading the live state: configuration, marks, thresholds, and what a file's names mean.

Reads in the transaction that it is given and writes nothing; a role with SELECT only is enough.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from reconciler.database.queries import queries
from reconciler.planning.configuration import Configuration
from reconciler.planning.live import Directory, Live
from reconciler.rollout_file.model import Rollout
from reconciler.rollout_file.names import entry_key, is_identifier, is_pattern
from reconciler.targeting.categories import Category, Threshold
from reconciler.targeting.strategy import Strategy

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

_SQL = queries("live")


def read_live(connection: "Connection", rollout: Rollout) -> Live:
    """Return the database's side of a plan for this desired state."""
    state = connection.execute(text(_SQL["state"])).one()
    features = read_configurations(connection)
    marked = frozenset(connection.execute(text(_SQL["marked"])).scalars())
    return Live(
        generation=state.generation,
        applied_commit=state.applied_commit,
        features=features,
        marked=marked,
        thresholds=_read_thresholds(connection),
        directory=_read_directory(connection, rollout, features, marked),
    )


def read_configurations(connection: "Connection") -> Mapping[str, Configuration]:
    """Return every feature's configuration by name."""
    rows = connection.execute(text(_SQL["configurations"]))
    return {row.feature_name: _configuration(row) for row in rows}


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


def _keys(entries: Iterable[str | None]) -> frozenset[str]:
    """Return an array's entries as keys, forgiving what hand-written SQL may leave in it."""
    return frozenset(entry.strip().lower() for entry in entries if entry is not None)


def _read_thresholds(connection: "Connection") -> Mapping[Category, Threshold]:
    rows = connection.execute(text(_SQL["thresholds"]))
    return {
        Category(row.category): Threshold(
            row.stars, row.contributors, row.pull_requests, row.priority
        )
        for row in rows
    }


def _read_directory(
    connection: "Connection",
    rollout: Rollout,
    features: Mapping[str, Configuration],
    marked: frozenset[str],
) -> Directory:
    entries = {
        entry_key(entry)
        for feature in rollout.features.values()
        for entry in (*feature.whitelist, *feature.exclusions)
    } | {entry_key(entry) for entry in rollout.test_repositories}
    live = {key for each in features.values() for key in (*each.whitelist, *each.exclusions)}

    ids: dict[str, str] = {}
    names: dict[str, str] = {}
    wanted_names = [key for key in entries if not is_identifier(key) and not is_pattern(key)]
    for row in connection.execute(text(_SQL["resolve_names"]), {"names": wanted_names}):
        ids[row.key] = row.id
        names[row.id] = row.full_name

    owned: defaultdict[str, set[str]] = defaultdict(set)
    patterns = [entry_key(entry) for entry in rollout.test_repositories if is_pattern(entry)]
    if patterns:
        for row in connection.execute(text(_SQL["owned"]), {"patterns": patterns}):
            owned[row.pattern].add(row.id)
            names[row.id] = row.full_name

    unnamed = [key for key in (entries | live | marked) - names.keys() if is_identifier(key)]
    for row in connection.execute(text(_SQL["name_ids"]), {"ids": unnamed}):
        names[row.id] = row.full_name
    return Directory(
        ids=ids, names=names, owned={key: frozenset(found) for key, found in owned.items()}
    )
