"""The features and the limits in force, without the lists and without counting repositories.

Reads in the caller's transaction and writes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from reconciler.database.driver import execute
from reconciler.database.queries import queries

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection

_SQL = queries("now")


@dataclass(frozen=True, slots=True)
class LimitInForce:
    """The override that limits a feature."""

    id: UUID
    percentage: Decimal | None
    """The limit; None for a stop."""
    reason: str
    by: str
    at: datetime
    is_in_git: bool
    proposed_branch: str | None


@dataclass(frozen=True, slots=True)
class FeatureNow:
    """One feature as it is now."""

    name: str
    active: bool
    emergency_stop: bool
    strategy: str
    percentage: Decimal
    processor: str
    fallback: str
    updated_at: datetime
    stage: int
    """The number of stages at or below the percentage."""
    stages: int
    """All stages of the progression; 0 without one."""
    limit: LimitInForce | None


def read_fingerprint(connection: "AnyConnection") -> str:
    """Return a text that changes with the features, their limits, the history and the generation."""
    fingerprint: str = execute(connection, _SQL["fingerprint"]).scalar()
    return fingerprint


def read_features_now(
    connection: "AnyConnection", *, feature: str | None = None
) -> Sequence[FeatureNow]:
    """Return every feature by name, or the named one if there is one."""
    return [
        FeatureNow(
            row.name,
            row.active,
            row.emergency_stop,
            row.strategy,
            row.percentage,
            row.processor,
            row.fallback,
            row.updated_at,
            row.stage,
            row.stages,
            None
            if row.override_id is None
            else LimitInForce(
                row.override_id,
                row.override_percentage,
                row.override_reason,
                row.override_by,
                row.override_at,
                row.is_in_git,
                row.proposed_branch,
            ),
        )
        for row in execute(connection, _SQL["features"], {"feature": feature})
    ]
