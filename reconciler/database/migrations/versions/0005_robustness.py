"""Odd times, excluded names and workers' rights: one row, name or account affects no others."""

from reconciler.database.migrations.files import run_file

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Keep excluded names, record jobs with the owner's rights, find odd times, spare a full queue."""
    run_file("0005_times.sql")
    run_file("0005_functions.sql")
    run_file("0005_settling.sql")
