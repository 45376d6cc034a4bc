"""Journal: recorded jobs are inserted, and put into `rollout_metrics` together."""

from reconciler.database.migrations.files import run_file

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Add the columns and the turns; each upgrade ends with the functions of its release."""
    run_file("0019_journal.sql")
