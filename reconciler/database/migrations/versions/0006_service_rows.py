"""A service's own rows of metrics: rules that its statements break are not its rules."""

from reconciler.database.migrations.files import run_file

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Drop two rules about rows of metrics where a service writes them."""
    run_file("0006_service_rows.sql")
