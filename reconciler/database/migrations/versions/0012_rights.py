"""Rights: no function of the rollout is open to every role.

The statements are in `sql/0012_rights.sql`, which runs each time the functions are made.
"""

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Change no table."""
