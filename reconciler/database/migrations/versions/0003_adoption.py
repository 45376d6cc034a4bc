"""Adoption without a changed audience: a service's own functions, rows, marks and grants."""

from reconciler.database.migrations.files import run_file, run_objects

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the tables for adoption, and create every function, trigger and view of this release."""
    run_file("0003_adoption.sql")
    run_objects(until="0005")
    run_file("0003_closing.sql")
