"""Pages of the audit trail, filtered by feature, action, person and time.

Reads in the caller's transaction and writes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from reconciler.database.history import HistoryEntry
from reconciler.database.queries import queries

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

_SQL = queries("history_search")


@dataclass(frozen=True, slots=True)
class HistoryFilter:
    """Which rows are wanted; None is any."""

    feature: str | None = None
    action: str | None = None
    by: str | None = None
    """A part of the author's name, in any case."""
    since: datetime | None = None
    until: datetime | None = None
    """Rows before this time."""


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Some rows, the newest first."""

    entries: Sequence[HistoryEntry]
    older_than: int | None
    """The position from which the next page continues; None on the last page."""


def read_history_page(
    connection: "Connection", wanted: HistoryFilter, *, limit: int, before: int | None = None
) -> HistoryPage:
    """Return a page of the rows that pass a filter.

    Args:
        connection: the database.
        wanted: the filter.
        limit: the rows of a page, at most.
        before: the position from which the page continues; None for the first page.
    """
    parameters = {
        "feature": wanted.feature,
        "action": wanted.action,
        "by": wanted.by,
        "since": wanted.since,
        "until": wanted.until,
        "before": before,
        # One more shows whether there is a next page.
        "limit": limit + 1,
    }
    rows = connection.execute(text(_SQL["page"]), parameters).all()
    shown = rows[:limit]
    older_than = shown[-1].position if len(rows) > limit else None
    return HistoryPage(tuple(map(_entry, shown)), older_than)


def _entry(row: "Row[Any]") -> HistoryEntry:
    return HistoryEntry(
        created_at=row.created_at,
        feature_name=row.feature_name,
        action=row.action,
        previous_percentage=row.previous_percentage,
        new_percentage=row.new_percentage,
        reason=row.reason,
        triggered_by=row.triggered_by,
        metadata=row.metadata,
    )
