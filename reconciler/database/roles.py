"""The rollout's roles: the script that creates them and grants their rights, and running it.

People can also read the script and run it as it is; `sql/roles.sql` explains the rights of each role.
"""

from collections import defaultdict
from collections.abc import Mapping
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import psycopg
from sqlalchemy import exc

from reconciler.database.connection import translated_errors
from reconciler.database.driver import DriverConnection, execute
from reconciler.database.locks import lock_writers
from reconciler.database.open_rights import OpenRight
from reconciler.database.queries import queries
from reconciler.database.schema import LOCK_TIMEOUT, require_newest
from reconciler.database.transactions import Database, write_transaction

if TYPE_CHECKING:
    from sqlalchemy import Connection

_SQL: Final = queries("open_rights")
_POLICIES_BEGIN: Final = "-- With row security"
"""Begins the part of the script that makes policies, which locks tables."""


def roles_script() -> str:
    """Return the script: idempotent, for this release's schema, run by the tables' owner."""
    return files("reconciler.database").joinpath("sql", "roles.sql").read_text("utf-8")


def apply_roles(database: Database) -> None:
    """Run the script, all or nothing; a second concurrent run waits.

    Raises:
        SetupInvalid: the schema is not this release's, or the account may not grant or create roles.
    """

    def run(connection: DriverConnection) -> None:
        require_newest(connection)
        lock_writers(connection, on_wait=database.on_wait)
        connection.execute(roles_script())

    write_transaction(database, run)


def find_missing_rights(database: Database) -> list[OpenRight] | None:
    """Return the rights that the roles lack in this database; an empty list if they have no right in it.

    The script runs and is rolled back, so the list of rights stays in one place.

    Returns:
        None if the account may not grant, so that it cannot find out.
    """
    with translated_errors(database.address), database.engine.connect() as connection:
        before = _rights(connection)
        if not before:
            return []
        try:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
            driver_connection: Any = connection.connection.driver_connection
            driver_connection.execute(roles_script().partition(_POLICIES_BEGIN)[0])
            after = _rights(connection)
            policies = execute(connection, _SQL["missing_policies"]).all()
        except (psycopg.Error, exc.DBAPIError):
            return None
        finally:
            connection.rollback()
    missing = [
        OpenRight(kind, name, role, sorted(rights - before.get((kind, name, role), set())))
        for (kind, name, role), rights in sorted(after.items())
    ]
    missing += (OpenRight("policy", row.name, row.role, [row.command]) for row in policies)
    return [each for each in missing if each.rights]


def _rights(connection: "Connection") -> Mapping[tuple[str, str, str], set[str]]:
    found: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for row in execute(connection, _SQL["role_rights"]):
        found[row.kind, row.name, row.role].add(row.privilege)
    return found
