"""The audit trail, read: one row for each event, with its author, its reason and its generation."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from reconciler.database.driver import execute
from reconciler.database.queries import queries
from reconciler.planning.history import Action, show_approval
from reconciler.wording import counted, show_number

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection


_SQL = queries("history")

MOST_SHOWN_NAMES: Final = 6
"""The largest list that is shown with its names; a larger one is counted."""


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One row of `rollout_history`; `feature_name` is None if it concerns no single feature."""

    created_at: datetime
    feature_name: str | None
    action: str
    previous_percentage: Decimal | None
    new_percentage: Decimal | None
    reason: str | None
    triggered_by: str | None
    metadata: Any
    """An object in rows of the reconciler; in other rows, any JSON or None."""

    @property
    def details(self) -> Mapping[str, Any]:
        """The metadata if it is an object, else an empty one."""
        return self.metadata if isinstance(self.metadata, dict) else {}

    @property
    def approval(self) -> str:
        """Who approved the change, or allowed it without approvals; empty if no rule asked for it."""
        return show_approval(self.details)

    @property
    def change(self) -> str:
        """The change in words, empty without one; people may have written the row by hand."""
        details = self.details
        if self.previous_percentage is not None and self.new_percentage is not None:
            # The name of the field that drifted is not in the action.
            drifted = f"{details.get('field')} " if "live" in details else ""
            previous = show_number(self.previous_percentage)
            return f"{drifted}{previous} → {show_number(self.new_percentage)}"
        if "entry" in details:
            return str(details["entry"])
        if "field" in details and "before" in details:
            # The reverted value was live; the last apply had no other value before it.
            is_reverted = self.action == Action.DRIFT_REVERTED
            before = details.get("live") if is_reverted else details["before"]
            return _difference(str(details["field"]), before, details.get("after"))
        if "limit_after" in details:
            limit = _limit(details["limit_after"])
            return f"override {_limit(details.get('limit_before'))} → {limit}"
        return "" if self.new_percentage is None else show_number(self.new_percentage)


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
    connection: "AnyConnection", wanted: HistoryFilter, *, limit: int, before: int | None = None
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
    rows = execute(connection, _SQL["page"], parameters).all()
    shown = rows[:limit]
    older_than = shown[-1].position if len(rows) > limit else None
    return HistoryPage(tuple(_entry(row) for row in shown), older_than)


def read_entries_by_hand(connection: "AnyConnection") -> Mapping[str, HistoryEntry]:
    """Return the newest row of each feature that people wrote by hand since the last apply."""
    rows = execute(connection, _SQL["by_hand"])
    return {row.feature_name: _entry(row) for row in rows}


def read_newest_entry(
    connection: "AnyConnection", feature: str, list_name: str, keys: Collection[str]
) -> HistoryEntry | None:
    """Return the newest row that added one of these keys to the `whitelist` or `exclusions` of a feature.

    The row that created the feature with the key counts too.
    """
    action = Action.WHITELIST_ADDED if list_name == "whitelist" else Action.EXCLUSION_ADDED
    parameters = {"feature": feature, "list": list_name, "action": action.value, "keys": list(keys)}
    row = execute(connection, _SQL["newest_entry"], parameters).one_or_none()
    return None if row is None else _entry(row)


def _entry(row: Any) -> HistoryEntry:
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


def _limit(percentage: Any) -> str:
    return "stop" if percentage is None else str(percentage)


def _difference(field: str, before: Any, after: Any) -> str:
    """Return the change of a field in words; of a thing with keys, only the keys that differ."""
    match before, after:
        case None, dict():
            return f"{field} added: {_shown(after)}"
        case dict(), None:
            return f"{field} removed: {_shown(before)}"
        case dict(), dict():
            keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
            return f"{field}: " + ", ".join(
                f"{key} {_shown(before.get(key))} → {_shown(after.get(key))}" for key in keys
            )
        case list(), list():
            # Its entries are keys, and most of them ids.
            return f"{field} {counted(len(before), 'entry')} → {counted(len(after), 'entry')}"
        case _:
            return f"{field} {_shown(before)} → {_shown(after)}"


def _shown(value: Any) -> str:
    """Return a value of a row's metadata for people; a key without a value is left out."""
    match value:
        case None:
            return "(none)"
        case bool():
            return "on" if value else "off"
        case list() if 0 < len(value) <= MOST_SHOWN_NAMES and {*map(type, value)} == {str}:
            return " and ".join(value)
        case list():
            return counted(len(value), "entry")
        case dict():
            return ", ".join(
                f"{key} {_shown(each)}" for key, each in value.items() if each not in (None, [], {})
            )
        case _:
            return str(value)
