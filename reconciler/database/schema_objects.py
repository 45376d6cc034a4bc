"""The schema's functions, triggers and views: compared with those of the last upgrade, and repaired.

A service's deploy may run its own `CREATE OR REPLACE FUNCTION` again; the answers then differ.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from reconciler.database.driver import execute
from reconciler.database.locks import OnWait, lock_writers, wait_silently
from reconciler.database.ownership import require_trusted_owners
from reconciler.database.queries import queries
from reconciler.database.schema import LOCK_TIMEOUT
from reconciler.errors import SetupInvalid

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from reconciler.database.driver import AnyConnection

_SQL = queries("schema_objects")

_SHOWS_HIDDEN_ROWS: Final = "shows rows that the service hides"
"""The problem of a view, as `sql/schema_objects.sql` names it."""


def find_differences(connection: "AnyConnection") -> Sequence[str]:
    """Return the differences from the schema, each as a sentence without a full stop; by kind and name."""
    rows = execute(connection, _SQL["differences"])
    return [f"{row.kind} {row.name} {row.problem}" for row in rows]


def require_own_objects(connection: "AnyConnection") -> None:
    """Refuse to continue if a function, trigger or view is not the schema's.

    Raises:
        SetupInvalid: something differs; the message names it and the command that repairs it.
    """
    differences = find_differences(connection)
    if differences:
        raise SetupInvalid("; ".join(differences) + "; run: reconcile db upgrade --repair")


def repair(
    engine: "Engine", *, dry_run: bool = False, on_wait: OnWait = wait_silently
) -> Sequence[str]:
    """Create every function, trigger and view again, all or nothing; return the differences before.

    Raises:
        SetupInvalid: an object of the service needs a function that must be dropped.
    """
    from reconciler.database.migrations.files import run_objects
    from reconciler.database.transactions import run_transaction

    def work(connection: "Connection") -> Sequence[str]:
        require_trusted_owners(connection, adopted=True)
        lock_writers(connection, on_wait=on_wait)
        differences = find_differences(connection)
        if differences and not dry_run:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
            run_objects(connection)
            if any(each.endswith(_SHOWS_HIDDEN_ROWS) for each in differences):
                connection.exec_driver_sql(_SQL["secure_view"])
        return differences

    return run_transaction(engine, work)
