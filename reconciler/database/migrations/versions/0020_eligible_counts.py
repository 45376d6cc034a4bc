"""Eligible counts: how many repositories each feature has, and when they were counted."""

from reconciler.database.migrations.files import run_file

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Add the table without rows, and the index of resumes. An apply or the watch counts first."""
    run_file("0020_eligible_counts.sql")
