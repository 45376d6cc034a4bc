"""The rollout's tables, triggers and functions: created, or adopted from a service that has them."""

from reconciler.database.migrations.files import run_file

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create all objects of the first release; existing tables are adopted."""
    for name in (
        "0001_refusals.sql",
        "0001_capture.sql",
        "0001_models.sql",
        "0001_adoption.sql",
        "0001_dependents.sql",
        "0001_columns.sql",
        "0001_tables.sql",
        "0001_triggers.sql",
        "0001_eligibility.sql",
        "0001_metrics.sql",
        "0001_recording.sql",
        "0001_service_functions.sql",
        "0001_settling.sql",
    ):
        run_file(name)
