"""Read and write the rows of `rollout_override`, as planning decided them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from reconciler.database.driver import execute
from reconciler.database.queries import queries
from reconciler.planning.overrides import OverrideState, StoredOverride
from reconciler.rollout_file.override import Override

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection

_SQL = queries("overrides")


def read_overrides(
    connection: "AnyConnection", feature: str | None = None
) -> Mapping[UUID, tuple[StoredOverride, ...]]:
    """Return the overrides of all features, or of the named one, by the configuration's id."""
    found: defaultdict[UUID, list[StoredOverride]] = defaultdict(list)
    for row in execute(connection, _SQL["overrides"], {"feature": feature}):
        found[row.rollout_config_id].append(_stored(row))
    return {configuration: tuple(rows) for configuration, rows in found.items()}


def write_overrides(
    connection: "AnyConnection", feature: str, rows: Iterable[StoredOverride]
) -> None:
    """Write rows of one feature: new ones, and those with another state or limit."""
    # First the rows that are not on any more: at most one may be on.
    for row in sorted(rows, key=lambda row: row.state is OverrideState.ON):
        override = row.override
        execute(
            connection,
            _SQL["write_override"],
            {
                "id": override.id,
                "feature_name": feature,
                "state": row.state.value,
                "percentage": override.percentage,
                "emergency_stop": override.emergency_stop is True,
                "reason": override.reason,
                "triggered_by": override.by[:100],
                "created_at": override.at,
                "superseded_by": row.superseded_by,
                "removals": row.removals,
            },
        )


def _stored(row: "Any") -> StoredOverride:
    return StoredOverride(
        # Not validated: a reason that was written by SQL may be invalid in a file.
        override=Override.model_construct(
            id=row.id,
            percentage=row.percentage,
            emergency_stop=True if row.emergency_stop else None,
            reason=row.reason,
            by=row.triggered_by,
            at=row.created_at,
        ),
        state=OverrideState(row.state),
        superseded_by=row.superseded_by,
        removals=row.removals,
    )
