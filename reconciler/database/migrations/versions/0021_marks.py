"""Marks: the repositories marked as test are found without a scan of all categories."""

from reconciler.database.migrations.files import run_file

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Add the index; every plan reads the marks."""
    run_file("0021_marks.sql")
