"""Recording: sessions that report jobs of one repository wait less; an index finds impossible times."""

from reconciler.database.migrations.files import run_file

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Replace the index; each upgrade ends with the functions of its release."""
    run_file("0016_recording.sql")
