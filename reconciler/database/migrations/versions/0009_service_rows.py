"""A service's own statements: rules of metrics that they break, and a call that is expected to write."""

from reconciler.database.migrations.files import run_file

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Drop two rules about rows of metrics that a service writes, and keep its `categorize_repository`."""
    run_file("0009_service_rows.sql")
