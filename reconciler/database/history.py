"""Reading the audit trail."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from reconciler.database.queries import queries

if TYPE_CHECKING:
    from sqlalchemy import Connection

_SQL = queries("history")


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One row of `rollout_history`; `feature_name` is None for what concerns no one feature."""

    created_at: datetime
    feature_name: str | None
    action: str
    previous_percentage: Decimal | None
    new_percentage: Decimal | None
    reason: str | None
    triggered_by: str | None
    metadata: Any
    """An object where the reconciler wrote it; of others any JSON, or None."""

    @property
    def details(self) -> Mapping[str, Any]:
        """What an object there says."""
        return self.metadata if isinstance(self.metadata, dict) else {}


def read_history(
    connection: "Connection",
    *,
    feature: str | None,
    action: str | None,
    since: datetime | None,
    limit: int,
) -> list[HistoryEntry]:
    """Return the newest rows that pass every filter given, newest first."""
    parameters = {"feature": feature, "action": action, "since": since, "limit": limit}
    rows = connection.execute(text(_SQL["history"]), parameters)
    return [HistoryEntry(**row._mapping) for row in rows]  # noqa: SLF001
