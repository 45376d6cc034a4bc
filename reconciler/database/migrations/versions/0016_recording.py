"""Recording: many sessions that report jobs of one repository at once cost less."""

revision = "0016"
down_revision = "0014"


def upgrade() -> None:
    """Change no table: each upgrade ends with the functions of its release."""
