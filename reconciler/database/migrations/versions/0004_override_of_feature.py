"""An override belongs to its feature: two features can have rows with one id."""

from reconciler.database.migrations.files import run_file

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the feature a part of the key of `rollout_override`."""
    run_file("0004_override_of_feature.sql")
