"""Running a migration's `.sql` file, statement after statement, on alembic's connection."""

from importlib.resources import files
from typing import Any

import psycopg
from alembic import op

from reconciler.errors import SetupInvalid

REFUSAL_SQLSTATE = "RR001"
"""What a file raises to refuse with a sentence for people: its message, and what to do as its hint."""


def run_file(name: str) -> None:
    """Run the file `sql/<name>` of this package; any error ends the migration's transaction.

    Raises:
        SetupInvalid: the file refuses, and says what a person has to decide first.
    """
    text = files("reconciler.database.migrations").joinpath("sql", name).read_text("utf-8")
    # Straight to the driver: a file holds many statements, and its % and : are not parameters.
    driver_connection: Any = op.get_bind().connection.driver_connection
    try:
        driver_connection.execute(text)
    except psycopg.Error as error:
        if error.sqlstate != REFUSAL_SQLSTATE:
            raise
        raise SetupInvalid(
            f"{error.diag.message_primary}\nnothing was changed; {error.diag.message_hint}"
        ) from error
