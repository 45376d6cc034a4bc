"""Running jobs: the starts of jobs without an end, and how many may run on a processor."""

from reconciler.database.migrations.files import run_file

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Add the table of running jobs, its functions with their rights, and the limit of a processor."""
    run_file("0017_running.sql")
    run_file("0017_starts.sql")
    run_file("0017_closing.sql")
