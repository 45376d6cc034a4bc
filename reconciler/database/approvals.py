"""Who approved the last widenings. Reads in the caller's transaction."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from reconciler.database.queries import queries

if TYPE_CHECKING:
    from sqlalchemy import Connection

_SQL = queries("approvals")


def read_approved(connection: "Connection") -> Mapping[str, Any]:
    """Return by feature who approved its last widening, as the apply stored it."""
    return connection.execute(text(_SQL["applied"])).one().approved or {}
