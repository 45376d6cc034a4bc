"""Sums of jobs that are kept as they are recorded, and the evidence from them."""

from reconciler.database.migrations.files import run_file

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the sums with their triggers, and the functions that record kinds, sizes and several jobs."""
    run_file("0007_rollup.sql")
    run_file("0007_functions.sql")
    run_file("0007_closing.sql")
