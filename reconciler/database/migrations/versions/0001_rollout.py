"""The rollout's tables, triggers and functions."""

from reconciler.database.migrations.files import run_file

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make everything that the first release needs."""
    for name in ("0001_tables.sql", "0001_triggers.sql", "0001_eligibility.sql"):
        run_file(name)
