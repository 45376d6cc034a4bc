"""Connections to the database, and what its errors mean to whoever reads them.

Each connection is made when it is used and closed after; none relies on its session's state, so
that a transaction pooler may stand between. Errors are told in one line, without URL or password.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError

from reconciler.database.address import DatabaseAddress
from reconciler.errors import ReconcilerError, SetupInvalid, Unavailable

CONNECT_TIMEOUT_SECONDS = 10
APPLICATION_NAME = "reconcile"
SILENCE = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""In seconds, tries and milliseconds: a server gone without a word is given up after a minute."""


def create_engine(address: DatabaseAddress) -> sqlalchemy.Engine:
    """An engine for this address; it connects when it is first used."""
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://",
        poolclass=sqlalchemy.NullPool,
        use_native_hstore=False,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "application_name": APPLICATION_NAME,
            **SILENCE,
            **address.parameters,
            "client_encoding": "utf8",
            # A prepared statement is its session's; a pooler gives the next transaction another.
            "prepare_threshold": None,
        },
    )
    if address.embedded_in is not None:
        sqlalchemy.event.listen(engine, "do_connect", partial(_connect, address.embedded_in))
    return engine


def _connect(
    folder: Path,
    dialect: sqlalchemy.Dialect,
    _record: object,
    arguments: Sequence[Any],
    parameters: dict[str, Any],
) -> DBAPIConnection:
    """Connect to the embedded database, at another socket where it was started again meanwhile."""
    try:
        return dialect.connect(*arguments, **parameters)
    except psycopg.OperationalError:
        from reconciler.database.embedded import EmbeddedServer

        url = EmbeddedServer(folder).status().url
        if url is None:
            raise
        found = DatabaseAddress.parse(url).parameters
        return dialect.connect(*arguments, **{**parameters, **found})


@contextmanager
def translated_errors(address: DatabaseAddress) -> Iterator[None]:
    """Tell what goes wrong with the database inside as a `ReconcilerError`, its cause kept.

    "Nothing was written" holds for whatever is one transaction, until it is asked to commit: that
    last moment is its caller's to tell (`OutcomeUnknown`).

    Raises:
        SetupInvalid: The address, the account or its permissions are wrong.
        Unavailable: The database isn't there, is busy, or went away.
        ReconcilerError: It refused a statement.
    """
    try:
        yield
    except DBAPIError as error:
        if not isinstance(error.orig, psycopg.Error):
            raise
        raise translated(error.orig, address) from error
    except psycopg.Error as error:
        raise translated(error, address) from error


def translated(error: psycopg.Error, address: DatabaseAddress) -> ReconcilerError:
    """What an error of the database means to whoever reads it."""
    kind, advice = _meaning(sqlstate(error))
    said = _one_line(error) + (f" ({sqlstate(error)})" if kind is ReconcilerError else "")
    return kind(address.without_secrets(f"{address.describe()}: {said}; {advice}"))


_TRY_AGAIN = "nothing was written; try again"

# By SQLSTATE or its beginning: https://www.postgresql.org/docs/18/errcodes-appendix.html
_MEANINGS: dict[str, tuple[type[ReconcilerError], str]] = {
    "08": (Unavailable, f"the connection was lost: {_TRY_AGAIN}"),
    "25006": (SetupInvalid, "set the address of the primary server, or an account that may write"),
    "25P03": (Unavailable, f"the transaction had waited too long: {_TRY_AGAIN}"),
    "25P04": (Unavailable, f"the transaction took too long: {_TRY_AGAIN}"),
    "28": (SetupInvalid, "set a user and a way to sign in that this server allows"),
    "28P01": (SetupInvalid, "set the right user and password"),
    "3D000": (SetupInvalid, "set the name of a database that is there, or create this one"),
    "40": (Unavailable, f"others were writing at the same time: {_TRY_AGAIN}"),
    "42501": (SetupInvalid, "use an account with this permission, or have it granted"),
    "53": (Unavailable, "nothing was written; make room on the server and try again"),
    "53300": (Unavailable, "nothing was written; try again when fewer are connected"),
    "55P03": (Unavailable, f"somebody else is at work there: {_TRY_AGAIN}"),
    "57": (Unavailable, f"the server or its operator ended it: {_TRY_AGAIN}"),
    "57014": (Unavailable, f"it took too long or was cancelled: {_TRY_AGAIN}"),
    "58": (Unavailable, "nothing was written; see the server's log, and try again"),
}

# A connection that fails brings no SQLSTATE with it, only the server's or libpq's words.
_STATES_OF_FAILED_CONNECTIONS = (
    (r"password authentication failed|no password supplied", "28P01"),
    (r"no pg_hba\.conf entry|authentication failed|not permitted to log in", "28000"),
    (r'role ".*" does not exist|server does not support SSL|certificate', "28000"),
    (r'database ".*" does not exist', "3D000"),
    (r"permission denied for database", "42501"),
    (r"too many (clients|connections)|connection slots", "53300"),
    (r"the database system is ", "57P03"),
    (r"server closed the connection|connection (is|has been) (lost|closed)", "08006"),
)


def sqlstate(error: psycopg.Error) -> str | None:
    """The error's SQLSTATE, or what it would be by its words; None where nobody answered."""
    if error.sqlstate is not None:
        return error.sqlstate
    for pattern, state in _STATES_OF_FAILED_CONNECTIONS:
        if re.search(pattern, str(error)):
            return state
    return None


def _meaning(state: str | None) -> tuple[type[ReconcilerError], str]:
    """The meaning of a SQLSTATE by its longest known beginning; without one nothing answered."""
    if state is None:
        return Unavailable, (
            "nothing was written; see that the server runs and can be reached from here, "
            "and try again"
        )
    for length in range(len(state), 1, -1):
        if state[:length] in _MEANINGS:
            return _MEANINGS[state[:length]]
    return ReconcilerError, "nothing was written; --verbose shows the statement"


def _one_line(error: psycopg.Error) -> str:
    """What the server said first, or the last that libpq did, without what we say already."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    attempts = [line for line in lines if " failed: " in line]
    said = error.diag.message_primary or (attempts or lines or [type(error).__name__])[-1]
    said = re.sub(r"^.*connection to server .*? failed: (FATAL: +)?", "", said)
    return "".join(each if each.isprintable() else " " for each in said)
