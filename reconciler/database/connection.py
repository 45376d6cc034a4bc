"""Connections to the database, and its errors as messages for people.

Each connection is opened when it is used and closed afterwards. Each transaction begins with the settings
of `sql/transaction.sql`; no code relies on session state, so that a transaction pooler can be used. An error
message is one line, without URL or password.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import psycopg

from reconciler.database.address import DatabaseAddress
from reconciler.database.driver import DriverConnection, StatementFailed, driver_error
from reconciler.database.odd_times import forgiving_adapters
from reconciler.database.patience import Patience, is_of_switchover
from reconciler.database.server import require_supported
from reconciler.errors import ReconcilerError, SetupInvalid, Unavailable
from rollout_client.database_address import primary_only
from rollout_client.statements import statements

if TYPE_CHECKING:
    import sqlalchemy
    from sqlalchemy.engine.interfaces import DBAPIConnection

_SQL = statements("rollout_client", "transaction")

CONNECT_TIMEOUT_SECONDS = 10
APPLICATION_NAME = "reconcile"
SILENCE = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""In seconds, tries and milliseconds: a silent server is given up after a minute."""


@dataclass(frozen=True, slots=True)
class Rights:
    """The rights and the limit of each transaction, beside those of the account."""

    role: str | None = None
    """The role whose rights it has, which the account must be a member of; None for the account's own."""
    statement_seconds: int | None = None
    """The longest statement; None for the usual limit."""

    @property
    def statement(self) -> str:
        """The statement that begins a transaction so; it ends with the transaction."""
        parts = []
        if self.statement_seconds is not None:
            parts.append(f"SET LOCAL statement_timeout = '{self.statement_seconds}s'")
        if self.role is not None:
            parts.append(f'SET LOCAL ROLE "{self.role}"')
        return "; ".join(parts)


OF_THE_ACCOUNT = Rights()


def create_engine(
    address: DatabaseAddress, patience: Patience | None = None, rights: Rights = OF_THE_ACCOUNT
) -> "sqlalchemy.Engine":
    """Return an engine for this address; it connects at its first use.

    With patience, a connection waits for a server that accepts it.
    """
    import sqlalchemy

    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://",
        poolclass=sqlalchemy.NullPool,
        use_native_hstore=False,
        connect_args=_parameters(address),
    )
    sqlalchemy.event.listen(
        engine, "do_connect", partial(_connect_engine, address, patience or Patience())
    )
    sqlalchemy.event.listen(engine, "begin", partial(_fix_settings, rights))
    return engine


@contextmanager
def driver_connection(
    address: DatabaseAddress,
    patience: Patience,
    rights: Rights,
    *,
    isolation: psycopg.IsolationLevel,
    is_read_only: bool = False,
) -> Iterator[DriverConnection]:
    """Yield a connection of the driver in a transaction; without its commit nothing is written.

    Raises:
        StatementFailed: no server accepts the connection, or it refuses a setting.
    """
    try:
        connection = _connect(address, patience, psycopg.connect, _parameters(address))
    except psycopg.Error as error:
        raise StatementFailed(error, is_lost=False) from error
    try:
        connection.isolation_level = isolation
        # None keeps the server's default: a server that is read-only must refuse a write.
        connection.read_only = is_read_only or None
        transaction = DriverConnection(connection)
        transaction.execute(_settings(rights))
        yield transaction
    finally:
        connection.close()


def _parameters(address: DatabaseAddress) -> dict[str, Any]:
    given = address.parameters if address.accepts_replica else primary_only(address.parameters)
    return {
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "application_name": APPLICATION_NAME,
        **SILENCE,
        **given,
        "client_encoding": "utf8",
        # A prepared statement belongs to its session; a pooler may give the next transaction another.
        "prepare_threshold": None,
        "context": _Adapters(),
    }


def _settings(rights: Rights) -> str:
    return _SQL["begin"] + _SQL["limits"] + rights.statement


class _Adapters:
    """The interface of the driver's context."""

    adapters = forgiving_adapters()
    connection = None


def _fix_settings(rights: Rights, connection: "sqlalchemy.Connection") -> None:
    """Give a transaction its settings; they end with it, so that a pooled session keeps none."""
    connection.exec_driver_sql(_settings(rights))


def _connect_engine(
    address: DatabaseAddress,
    patience: Patience,
    dialect: "sqlalchemy.Dialect",
    _record: object,
    arguments: Sequence[Any],
    parameters: dict[str, Any],
) -> "DBAPIConnection":
    """Connect before SQLAlchemy asks for the version, which it can read of Postgres alone."""
    opened = cast("Callable[..., psycopg.Connection]", partial(dialect.connect, *arguments))
    return cast("DBAPIConnection", _connect(address, patience, opened, parameters))


def _connect(
    address: DatabaseAddress,
    patience: Patience,
    opened: "Callable[..., psycopg.Connection]",
    parameters: dict[str, Any],
) -> "psycopg.Connection":
    """Connect; try again while a switchover or a restart may be the reason that no server answers."""
    while True:
        try:
            connection = opened(**parameters)
            break
        except psycopg.OperationalError as error:
            restarted = address.embedded_in and _embedded_parameters(address.embedded_in)
            if restarted:
                connection = opened(**{**parameters, **restarted})
                break
            if not is_of_switchover(error, sqlstate(error)) or not patience.wait(in_a_line(error)):
                raise
    try:
        require_supported(connection, address.describe())
    except SetupInvalid:
        connection.close()
        raise
    return connection


def _embedded_parameters(folder: Path) -> Mapping[str, str] | None:
    """Return how to connect to the embedded database now, if it runs: its socket may be a new one."""
    from reconciler.database.embedded import EmbeddedServer

    url = EmbeddedServer(folder).status().url
    return None if url is None else DatabaseAddress.parse(url).parameters


@contextmanager
def translated_errors(address: DatabaseAddress) -> Iterator[None]:
    """Raise the database's errors in the block as a `ReconcilerError`, with its cause.

    "Nothing was written" holds for one transaction up to its COMMIT. The caller reports an unknown
    outcome of the COMMIT itself (`OutcomeUnknown`).

    Raises:
        SetupInvalid: the address, the account or its permissions are wrong.
        Unavailable: the database does not answer, is busy, or the connection was lost.
        ReconcilerError: the database refused a statement.
    """
    try:
        yield
    except Exception as error:
        original = driver_error(error)
        if original is None:
            raise
        raise translated(original, address) from error


def translated(error: psycopg.Error, address: DatabaseAddress) -> ReconcilerError:
    """Return a database error as an error for people."""
    kind, advice = _meaning(sqlstate(error))
    message = in_a_line(error) + (f" ({sqlstate(error)})" if kind is ReconcilerError else "")
    return kind(address.without_secrets(f"{address.describe()}: {message}; {advice}"))


_TRY_AGAIN = "nothing was written; try again"

# By SQLSTATE or its beginning: https://www.postgresql.org/docs/18/errcodes-appendix.html
_MEANINGS: dict[str, tuple[type[ReconcilerError], str]] = {
    "08": (Unavailable, f"the connection was lost: {_TRY_AGAIN}"),
    "25006": (SetupInvalid, "set the address of the primary server, or an account that may write"),
    "25P03": (Unavailable, f"the transaction was idle for too long: {_TRY_AGAIN}"),
    "25P04": (Unavailable, f"the transaction took too long: {_TRY_AGAIN}"),
    "28": (SetupInvalid, "set a user and a sign-in method that this server allows"),
    "28P01": (SetupInvalid, "set the right user and password"),
    "3D000": (SetupInvalid, "set the name of an existing database, or create this one"),
    "40": (Unavailable, f"another transaction wrote at the same time: {_TRY_AGAIN}"),
    "42501": (SetupInvalid, "use an account with this permission, or grant it"),
    "53": (Unavailable, "nothing was written; free resources on the server and try again"),
    "53300": (Unavailable, "nothing was written; try again when fewer connections are open"),
    "55P03": (Unavailable, f"another transaction holds the lock: {_TRY_AGAIN}"),
    "57": (Unavailable, f"the server or its operator ended the connection: {_TRY_AGAIN}"),
    "57014": (Unavailable, f"the statement took too long or was cancelled: {_TRY_AGAIN}"),
    "58": (Unavailable, "nothing was written; see the server's log, and try again"),
}

# A failed connection has no SQLSTATE, only the text of the server or of libpq.
_STATES_OF_FAILED_CONNECTIONS = (
    (r"password authentication failed|no password supplied", "28P01"),
    (r"no pg_hba\.conf entry|authentication failed|not permitted to log in", "28000"),
    (r'role ".*" does not exist|server does not support SSL|certificate', "28000"),
    (r'database ".*" does not exist', "3D000"),
    (r"permission denied for database", "42501"),
    (r"too many (clients|connections)|connection slots", "53300"),
    (r"the database system is ", "57P03"),
    (r"server is in hot standby mode|session is read-only", "25006"),
    (r"server closed the connection|connection (is|has been) (lost|closed)", "08006"),
)


def sqlstate(error: psycopg.Error) -> str | None:
    """Return the error's SQLSTATE, or the one that its text implies; None if no server answered."""
    if error.sqlstate is not None:
        return error.sqlstate
    for pattern, state in _STATES_OF_FAILED_CONNECTIONS:
        if re.search(pattern, str(error)):
            return state
    return None


def _meaning(state: str | None) -> tuple[type[ReconcilerError], str]:
    """Return the meaning of a SQLSTATE by its longest known prefix; None means that no server answered."""
    if state is None:
        return Unavailable, (
            "nothing was written; check that the server runs and that this machine can reach it, "
            "and try again"
        )
    for length in range(len(state), 1, -1):
        if state[:length] in _MEANINGS:
            return _MEANINGS[state[:length]]
    return ReconcilerError, "nothing was written; --verbose shows the statement"


def in_a_line(error: psycopg.Error) -> str:
    """Return the server's first line, or libpq's last, without the address."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    attempts = [line for line in lines if " failed: " in line]
    message = error.diag.message_primary or (attempts or lines or [type(error).__name__])[-1]
    message = re.sub(r"^.*connection to server .*? failed: (FATAL: +)?", "", message)
    return "".join(each if each.isprintable() else " " for each in message)
