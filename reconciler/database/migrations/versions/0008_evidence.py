"""Processors and evidence: the two processors of a feature, and how its jobs are judged."""

from reconciler.database.migrations.files import run_file

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the processors, the method and the limits of evidence; note when evidence begins."""
    run_file("0008_evidence.sql")
