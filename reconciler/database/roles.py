"""The rollout's roles: the script that creates them and grants their rights, and running it.

People can also read the script and run it as it is; `sql/roles.sql` explains the rights of each role.
"""

from importlib.resources import files
from typing import TYPE_CHECKING, Any

from reconciler.database.schema import UPGRADE_LOCK, require_newest
from reconciler.database.transactions import Database, write_transaction

if TYPE_CHECKING:
    from sqlalchemy import Connection


def roles_script() -> str:
    """Return the script: idempotent, for this release's schema, run by the tables' owner."""
    return files("reconciler.database").joinpath("sql", "roles.sql").read_text("utf-8")


def apply_roles(database: Database) -> None:
    """Run the script, all or nothing; a second concurrent run waits.

    Raises:
        SetupInvalid: the schema is not this release's, or the account may not grant or create roles.
    """

    def run(connection: "Connection") -> None:
        require_newest(connection)
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({UPGRADE_LOCK})")
        # Directly by the driver: the script has many statements, and its % are not parameters.
        driver_connection: Any = connection.connection.driver_connection
        driver_connection.execute(roles_script())

    write_transaction(database, run)
