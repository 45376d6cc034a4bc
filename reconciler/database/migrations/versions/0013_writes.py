"""Writes: each has an id, so that it takes place once."""

from reconciler.database.migrations.files import run_file

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Add the table of writes, its function and the function's rights."""
    run_file("0013_writes.sql")
    run_file("0013_functions.sql")
    run_file("0013_closing.sql")
