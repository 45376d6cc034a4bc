"""Tasks that wait for a person beside drift, write-back and promotions: refused applies, notifications.

Reads in the caller's transaction and writes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from reconciler.database.driver import execute
from reconciler.database.queries import queries
from reconciler.planning.notifications import LATE

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection

_SQL = queries("open_tasks")


@dataclass(frozen=True, slots=True)
class RefusedApply:
    """A commit that an apply refused."""

    event: str
    """`refused`, or `drift_held` where the live state was narrowed by hand."""
    at: datetime
    reason: str | None
    commit: str | None


@dataclass(frozen=True, slots=True)
class UndeliveredNotification:
    """A notification that no try will deliver, or that is late."""

    id: UUID
    target: str
    event: str
    feature: str | None
    is_dead: bool
    at: datetime
    attempts: int
    last_answer: str | None


def read_refusals(connection: "AnyConnection", *, most: int) -> Sequence[RefusedApply]:
    """Return the applies that were refused since the newest one, the newest first."""
    rows = execute(connection, _SQL["refusals"], {"most": most})
    found = [RefusedApply(**row._asdict()) for row in rows]
    return sorted(found, key=lambda each: each.at, reverse=True)


def read_undelivered(
    connection: "AnyConnection", *, most: int
) -> Sequence[UndeliveredNotification]:
    """Return the notifications that are dead or late, the oldest first."""
    rows = execute(connection, _SQL["undelivered"], {"late": LATE, "most": most})
    return [UndeliveredNotification(**row._asdict()) for row in rows]
