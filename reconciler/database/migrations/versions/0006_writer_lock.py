"""The lock of writers: a row that only appliers may lock, in place of advisory locks."""

from reconciler.database.migrations.files import run_file

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the table of the lock, if this upgrade has not begun with it."""
    run_file("0006_lock.sql")
