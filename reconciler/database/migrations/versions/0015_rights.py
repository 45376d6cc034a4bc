"""Rights: a role whose rows row security refuses records no jobs by a function either.

`sql/0015_rights.sql` takes the functions from such roles; it runs each time the functions are made.
"""

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Change no table: an upgrade ends with the rights of every function."""
