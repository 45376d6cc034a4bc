"""The outbox of notifications: targets, and rows that wait, were delivered, or are dead.

Triggers write the rows in the transaction of their event. A row is claimed for a limited time, so that a
killed sender delays a message and loses none.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

from reconciler.database.driver import execute
from reconciler.database.queries import queries
from reconciler.planning.notifications import (
    CLAIM,
    KEPT,
    LATE,
    MOST_SINGLE_MESSAGES,
    Notification,
    TargetsPlan,
)
from reconciler.rollout_file.notifications import EventName, Severity, Target, TargetKind

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection

_SQL = queries("outbox")
_EVENTS: Final = [each.value for each in EventName]
"""Those that this release can describe; a row of a newer release waits for one."""


class RowState(StrEnum):
    """The state of a row of the outbox."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Claimed:
    """The rows of one message, which this process may send until the claim ends."""

    message_id: UUID
    rows: Sequence[Notification]
    """Rows of one event, the oldest first; at least one."""
    tried_since: datetime
    """When the first try was due."""
    now: datetime
    """When they were claimed, by the database's clock."""


@dataclass(frozen=True, slots=True)
class OutboxCounts:
    """The numbers of rows to report to people."""

    dead: int
    """Rows that will not be delivered."""
    late: int
    """Rows that have waited for longer than ten minutes."""
    pending: int


@dataclass(frozen=True, slots=True)
class Due:
    """The targets that have a message to send, and the time of the query."""

    targets: Sequence[str]
    at: datetime | None
    """None without a target."""


@dataclass(frozen=True, slots=True)
class StuckOverride:
    """An override that git does not show after a time."""

    id: UUID
    feature: str
    reason: str
    by: str
    proposed_branch: str | None


def read_targets(connection: "AnyConnection") -> Mapping[str, Target]:
    """Return the targets of the last applied file by name."""
    return {
        row.name: Target(
            kind=TargetKind(row.kind),
            events=tuple(map(EventName, row.events)),
            severities=tuple(map(Severity, row.severities)),
            features=tuple(row.features),
        )
        for row in execute(connection, _SQL["targets"])
    }


def write_targets(connection: "AnyConnection", plan: TargetsPlan) -> None:
    """Write the targets of a file that is applied."""
    if plan.removed:
        execute(connection, _SQL["remove_targets"], {"names": list(plan.after)})
    for name in (*plan.added, *plan.changed):
        target = plan.after[name]
        execute(
            connection,
            _SQL["write_target"],
            {
                "name": name,
                "kind": target.kind.value,
                "events": [each.value for each in target.events],
                "severities": [each.value for each in target.severities],
                "features": list(target.features),
            },
        )


def record_event(
    connection: "AnyConnection",
    event: EventName,
    *,
    feature: str | None,
    occurrence: str,
    details: Mapping[str, Any],
) -> int:
    """Record an event that no trigger sees, once for each target; return the number of new rows.

    `occurrence` names what happened: the same occurrence is recorded once.
    """
    parameters = {
        "event": event.value,
        "feature": feature,
        "occurrence": occurrence,
        "details": json.dumps(details),
    }
    return int(execute(connection, _SQL["notify"], parameters).scalar())


def read_due(connection: "AnyConnection") -> Due:
    """Return the targets that have a row whose time has come."""
    rows = execute(connection, _SQL["due_targets"], {"events": _EVENTS}).all()
    return Due(tuple(row.target for row in rows), rows[0].now if rows else None)


def claim(connection: "AnyConnection", target: str, until: datetime) -> Claimed | None:
    """Take the rows of a target's next message; None where none is due.

    Only rows that were written up to `until` are taken, so that simultaneous events are one message.
    """
    found = execute(
        connection,
        _SQL["claim"],
        {
            "target": target,
            "until": until,
            "events": _EVENTS,
            "claim": CLAIM,
            "message_id": uuid4(),
            "most_single": MOST_SINGLE_MESSAGES,
        },
    ).all()
    if not found:
        return None
    ordered = sorted(found, key=lambda row: row.position)
    first = ordered[0]
    rows = [_notification(row) for row in ordered]
    return Claimed(first.message_id, rows, first.tried_since, first.now)


def settle(
    connection: "AnyConnection",
    claimed: Claimed,
    state: RowState,
    answer: str,
    *,
    wait: timedelta = timedelta(0),
) -> None:
    """Write the result of a try; a row that stays pending is tried again after `wait`."""
    execute(
        connection,
        _SQL["settle"],
        {
            "state": state.value,
            "answer": answer,
            "wait": wait,
            "message_id": claimed.message_id,
            "target": claimed.rows[0].target,
        },
    )


def read_notifications(
    connection: "AnyConnection", *, state: RowState | None, feature: str | None, limit: int
) -> Sequence[Notification]:
    """Return rows of the outbox, the newest first."""
    parameters = {
        "state": None if state is None else state.value,
        "feature": feature,
        "events": _EVENTS,
        "limit": limit,
    }
    return [_notification(row) for row in execute(connection, _SQL["list"], parameters)]


def retry(connection: "AnyConnection", ids: Collection[UUID] | None) -> int:
    """Make dead and waiting rows due now, all where `ids` is None; return their number."""
    parameters = {"ids": None if ids is None else list(ids)}
    return len(execute(connection, _SQL["retry"], parameters).all())


def read_counts(connection: "AnyConnection") -> OutboxCounts:
    """Return how many rows are dead, late and pending."""
    row = execute(connection, _SQL["counts"], {"late": LATE}).one()
    return OutboxCounts(row.dead, row.late, row.pending)


def prune(connection: "AnyConnection") -> int:
    """Delete some old rows; return their number."""
    return execute(connection, _SQL["prune"], {"keep": KEPT}).rowcount


def read_reason_by_hand(
    connection: "AnyConnection", feature: str, since: datetime
) -> tuple[str | None, str | None] | None:
    """Return reason and author of the newest row of history that people wrote by hand since a moment."""
    row = execute(
        connection, _SQL["reason_by_hand"], {"feature": feature, "since": since}
    ).one_or_none()
    return None if row is None else (row.reason, row.triggered_by)


def read_absent_since(
    connection: "AnyConnection", lease: str, patience: timedelta
) -> datetime | None:
    """Return the end of a lease that was held once and has been free for this time; otherwise None."""
    parameters = {"lease": lease, "patience": patience}
    since: datetime | None = execute(connection, _SQL["absent_since"], parameters).scalar()
    return since


def read_stuck_overrides(
    connection: "AnyConnection", patience: timedelta
) -> Sequence[StuckOverride]:
    """Return the overrides that git does not show after a time."""
    rows = execute(connection, _SQL["stuck_overrides"], {"patience": patience})
    return [
        StuckOverride(row.id, row.feature, row.reason, row.by, row.proposed_branch) for row in rows
    ]


def read_resolved_incidents(connection: "AnyConnection", claimed: Claimed) -> Sequence[str]:
    """Return the keys of the incidents that end with these rows."""
    parameters = {
        "target": claimed.rows[0].target,
        "dedup_keys": [each.dedup_key for each in claimed.rows],
    }
    return execute(connection, _SQL["resolved_incidents"], parameters).scalars()


def read_source_file(connection: "AnyConnection") -> str | None:
    """Return the path of the last applied file; None where nothing was applied."""
    path: str | None = execute(connection, _SQL["source_file"]).scalar()
    return path


def _notification(row: "Any") -> Notification:
    extra = {
        name: getattr(row, name)
        for name in ("state", "last_answer", "next_try_at")
        if hasattr(row, name)
    }
    return Notification(
        id=row.id,
        target=row.target,
        event=EventName(row.event),
        severity=Severity(row.severity),
        feature=row.feature,
        dedup_key=row.dedup_key,
        details=row.details,
        created_at=row.created_at,
        attempts=row.attempts,
        **extra,
    )
