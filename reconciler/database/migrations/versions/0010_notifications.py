"""Notifications: the targets of the file, the outbox, and the triggers that fill it."""

from reconciler.database.migrations.files import run_file

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Make the outbox of notifications."""
    run_file("0010_notifications.sql")
