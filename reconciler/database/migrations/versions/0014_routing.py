"""Routing: the prices of processors, and the rules that choose the processor of a job."""

from reconciler.database.migrations.files import run_file

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Add the rules and the chosen processors of features, and the table of prices."""
    run_file("0014_routing.sql")
