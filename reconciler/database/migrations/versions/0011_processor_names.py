"""Processor names: a feature keeps a limited number of them a day."""

from reconciler.database.migrations.files import run_file

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add the names and their limit."""
    run_file("0011_processors.sql")
