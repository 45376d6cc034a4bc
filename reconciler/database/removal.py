"""Removal: the rollout's objects are dropped, and an adopted service's tables are restored."""

from typing import TYPE_CHECKING

from reconciler.database.locks import OnWait, lock_writers, wait_silently
from reconciler.database.schema import LOCK_TIMEOUT, require_newest

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine


def remove(engine: "Engine", *, on_wait: OnWait = wait_silently) -> None:
    """Drop the rollout's objects, all or nothing; tables that the rollout created lose their rows.

    Raises:
        SetupInvalid: the schema is not this release's, an older release adopted the tables, or an
            object of the service uses the rollout's functions.
    """
    from reconciler.database.migrations.files import run_file
    from reconciler.database.transactions import run_transaction

    def work(connection: "Connection") -> None:
        require_newest(connection)
        lock_writers(connection, on_wait=on_wait)
        connection.exec_driver_sql(
            f"SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"
        )
        for name in ("removal_begin.sql", "0001_dependents.sql", "removal_end.sql"):
            run_file(name, connection)

    run_transaction(engine, work)
