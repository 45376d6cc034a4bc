"""Writes: each has an id, so that it takes place once."""

from reconciler.database.migrations.files import run_file, run_objects

revision = "0017"
down_revision = "0011"


def upgrade() -> None:
    """Add the table of writes, its function and the function's rights."""
    run_file("0017_writes.sql")
    run_objects()
    run_file("0017_closing.sql")
