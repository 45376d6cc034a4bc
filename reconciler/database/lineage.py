"""The lineage of a server's log. It changes when a standby is promoted and when a backup is restored.

The lease of the watch has the lineage whose overrides were compared with git.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from reconciler.database.driver import driver_error, execute
from reconciler.database.lease import WATCH_LEASE, Lease
from reconciler.database.queries import queries
from reconciler.database.transactions import idempotent_transaction

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection

_SQL = queries("lease")
_NOT_SHOWN_SQLSTATES: Final = ("0A000", "42501", "42883")
"""The server has no such function, or this account may not call it: some hosted servers."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """The cluster that a server belongs to, and its timeline."""

    system_identifier: int
    timeline: int


@dataclass(frozen=True, slots=True)
class Lineages:
    """The lineage of the server, and the recorded one."""

    present: Lineage
    recorded: Lineage | None
    """None before the first comparison."""


def read_lineages(connection: "AnyConnection") -> Lineages | None:
    """Return the lineage of the server and the recorded one; None where the server does not show its own.

    After None the transaction accepts no further statement.
    """
    try:
        row = execute(connection, _SQL["lineages"], {"name": WATCH_LEASE}).one()
    except Exception as error:
        original = driver_error(error)
        if original is not None and original.sqlstate in _NOT_SHOWN_SQLSTATES:
            return None
        raise
    if row.timeline is None:
        return None
    recorded = (
        None
        if row.recorded_timeline is None
        else Lineage(row.recorded_system_identifier, row.recorded_timeline)
    )
    return Lineages(Lineage(row.system_identifier, row.timeline), recorded)


def record_lineage(lease: Lease, lineage: Lineage) -> None:
    """Record a lineage with the lease, if its holder still has the row."""
    parameters = {
        "name": lease.name,
        "holder": lease.holder,
        "system_identifier": lineage.system_identifier,
        "timeline": lineage.timeline,
    }
    idempotent_transaction(
        lease.database, lambda each: execute(each, _SQL["record_lineage"], parameters)
    )
