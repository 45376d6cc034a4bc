"""A service's database before its adoption."""

from pathlib import Path

from tests.postgres import Database

_HERE = Path(__file__).parent

TOOLS = "00000000-0000-4000-8000-000000000001"
SITE = "00000000-0000-4000-8000-000000000002"
CORE = "00000000-0000-4000-8000-000000000003"


def make_host(database: Database, *, rows: bool = True) -> None:
    """Create a service's tables and rows in an empty database."""
    database.execute((_HERE / "host_schema.sql").read_text())
    if rows:
        database.execute((_HERE / "host_rows.sql").read_text())


def new_role(database: Database, purpose: str) -> str:
    """Create a role for one test; its name includes the test database's, because a server shares roles."""
    role = f"{purpose}_{database.value('SELECT current_database()')[-12:]}"
    database.execute(f"CREATE ROLE {role}")
    return role


def drop_role(database: Database, role: str) -> None:
    database.execute(f"DROP OWNED BY {role} CASCADE")
    database.execute(f"DROP ROLE {role}")
