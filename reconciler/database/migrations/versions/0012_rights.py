"""Rights: no function of the rollout is open to every role. A service's metrics without a repository go on.

`sql/0012_rights.sql` closes the functions; it runs each time they are made.
"""

from reconciler.database.migrations.files import run_file

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Allow an adopted service the rows that its own table allowed."""
    run_file("0012_service_rows.sql")
