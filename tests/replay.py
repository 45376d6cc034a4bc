"""Replay the history as an auditor does: from an empty start it must give the live state."""

from collections.abc import Iterable
from typing import Any

from rollout_client.targeting.eligibility import folded
from tests.postgres import Database

_COLUMNS = {
    "active": "is_active",
    "emergency_stop": "emergency_stop",
    "strategy": "rollout_strategy",
    "percentage": "rollout_percentage::float",
    "salt": "salt",
    "bucketing": "bucketing",
    "processor": "processor",
    "fallback": "fallback",
    "routing": "routing",
    "method": "health_method",
    "max_error_rate": "max_error_rate::float",
    "max_regression": "max_regression::float",
    "max_slowdown": "max_slowdown::float",
    "false_alarms": "false_alarms::float",
    "min_jobs": "min_jobs",
    "window": "extract(epoch from monitoring_window)::float",
    "auto_rollback": "auto_rollback_enabled",
    "rollback_to": "rollback_to::float",
    "description": "metadata ->> 'description'",
    "whitelist": "target_repositories",
    "exclusions": "excluded_repositories",
}
_QUIET_DEFAULTS = {
    "processor": "github_actions",
    "fallback": "inngest",
    "routing": [],
    "method": "threshold",
    "max_regression": 2,
    "max_slowdown": None,
    "false_alarms": 0.001,
}
"""Values that the row of a new feature has only where they differ."""
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

State = dict[str, dict[str, Any]]


def live_state(database: Database) -> State:
    """Return each feature's fields as the table has them."""
    columns = ", ".join(f"{column} AS {name}" for name, column in _COLUMNS.items())
    rows = database.rows(f"SELECT feature_name, {columns} FROM rollout_configuration")
    return {row.pop("feature_name"): _comparable(row) for row in rows}


def replayed_state(database: Database) -> State:
    """Return each feature's fields, computed from the history alone."""
    features: State = {}
    rows = database.rows("""
        SELECT feature_name, action, history.metadata
        FROM rollout_history AS history
        JOIN rollout_configuration AS configuration ON configuration.id = rollout_config_id
        ORDER BY position
    """)
    for row in rows:
        metadata = row["metadata"]
        if row["action"] == "created":
            features[row["feature_name"]] = _QUIET_DEFAULTS | metadata["after"]
            continue
        feature = features[row["feature_name"]]
        match row["action"], metadata:
            case "whitelist_added" | "exclusion_added", _:
                feature[metadata["field"]] = [*feature[metadata["field"]], metadata["key"]]
            case "whitelist_removed" | "exclusion_removed", _:
                feature[metadata["field"]] = [
                    key for key in feature[metadata["field"]] if key != metadata["key"]
                ]
            case "updated", {"resolved": True}:
                feature[metadata["field"]] = [
                    metadata["key"] if key == metadata["entry"].lower() else key
                    for key in feature[metadata["field"]]
                ]
            case _, {"field": field, "after": after}:
                feature[field] = after
            case _, {"after": after}:
                feature |= after
    return {name: _comparable(fields) for name, fields in features.items()}


def marks(database: Database) -> set[str]:
    """Return the ids of the repositories marked as test as the table has them."""
    rows = database.rows(
        "SELECT repository_id::text AS id FROM repository_categories WHERE marked_as_test"
    )
    return {row["id"] for row in rows}


def replayed_marks(database: Database) -> set[str]:
    """Return the ids of the repositories marked as test, computed from the history alone."""
    found: set[str] = set()
    rows = database.rows("""
        SELECT action, metadata ->> 'key' AS id FROM rollout_history
        WHERE action IN ('test_marked', 'test_unmarked') ORDER BY position
    """)
    for row in rows:
        if row["action"] == "test_marked":
            found.add(row["id"])
        else:
            found.remove(row["id"])
    return found


def _comparable(fields: dict[str, Any]) -> dict[str, Any]:
    window = fields["window"]
    seconds = int(window[:-1]) * _SECONDS[window[-1]] if isinstance(window, str) else window
    return fields | {
        "window": float(seconds),
        "whitelist": _keys(fields["whitelist"]),
        "exclusions": _keys(fields["exclusions"]),
    }


def _keys(entries: Iterable[str]) -> list[str]:
    """Return each entry once: people write one twice by hand, and in capitals."""
    return sorted(set(map(folded, entries)))
