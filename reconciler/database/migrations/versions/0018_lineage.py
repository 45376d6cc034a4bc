"""Lineage: the last tick of the watch, and the server whose overrides it has compared with git."""

from reconciler.database.migrations.files import run_file

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Add the columns. Each is null until a watch of this release writes it."""
    run_file("0018_lineage.sql")
