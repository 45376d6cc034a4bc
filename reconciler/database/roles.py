"""The rollout's roles: the script that creates them and grants their rights, and running it.

People can also read the script and run it as it is; `sql/roles.sql` explains the rights of each role.
"""

from importlib.resources import files
from typing import TYPE_CHECKING, Any

from reconciler.database.locks import lock_writers
from reconciler.database.schema import require_newest
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
        lock_writers(connection, on_wait=database.on_wait)
        # Straight to the driver: the script holds many statements, and its % are not parameters.
        driver_connection: Any = connection.connection.driver_connection
        driver_connection.execute(roles_script())

    write_transaction(database, run)
