"""The server of a database: whether it is supported, and whether it has the only copy of the data."""

from datetime import datetime
from typing import TYPE_CHECKING, Final

from reconciler.database.driver import execute
from reconciler.database.queries import queries
from reconciler.errors import SetupInvalid

if TYPE_CHECKING:
    import psycopg

    from reconciler.database.driver import AnyConnection

_SQL = queries("server")

OLDEST_POSTGRES: Final = 14
"""The oldest server that the schema and its functions are made for."""
ONE_COPY: Final = "one copy: no synchronous standby confirms a commit"


def require_supported(connection: "psycopg.Connection", place: str) -> None:
    """Refuse a server that is too old, or is not Postgres; this needs no query after the sign-in.

    Args:
        connection: a new connection.
        place: the database, for the message.

    Raises:
        SetupInvalid: the message names the server and the reason.
    """
    name = _imitation(connection.info)
    version = connection.info.server_version // 10_000
    use = f"use Postgres {OLDEST_POSTGRES} or newer"
    if name is not None:
        raise SetupInvalid(
            f"{place}: this server is {name}, where LISTEN receives no notifications and locks may not work; "
            f"{use}"
        )
    if version < OLDEST_POSTGRES:
        raise SetupInvalid(f"{place}: Postgres {version} is too old; {use}")


def has_synchronous_standby(connection: "AnyConnection") -> bool:
    """Return whether a COMMIT waits for a second server, so that no failover loses it."""
    return bool(execute(connection, _SQL["synchronous"]).scalar())


def newest_replayed_change(connection: "AnyConnection") -> datetime | None:
    """Return the time of the newest commit that a replica has; None on a primary."""
    found: datetime | None = execute(connection, _SQL["replayed"]).scalar()
    return found


def _imitation(info: "psycopg.ConnectionInfo") -> str | None:
    if info.parameter_status("crdb_version"):
        return "CockroachDB"
    if "-YB-" in (info.parameter_status("server_version") or ""):
        return "YugabyteDB"
    return None
