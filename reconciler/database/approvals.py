"""Who approved the last widenings. Reads in the caller's transaction."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from reconciler.database.driver import execute
from reconciler.database.queries import queries

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection

_SQL = queries("approvals")


def read_approved(connection: "AnyConnection") -> Mapping[str, Any]:
    """Return by feature who approved its last widening, as the apply stored it."""
    return execute(connection, _SQL["applied"]).one().approved or {}
