"""`bucketing`: a feature keeps the hash by which its service chose repositories."""

from reconciler.database.migrations.files import run_file

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column `bucketing`, and the functions that read it."""
    run_file("0002_bucketing.sql")
    run_file("0002_eligibility.sql")
