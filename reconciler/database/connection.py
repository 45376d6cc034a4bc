"""Connections to the database, and what its errors mean to whoever reads them.

Each connection is made when it is used and closed after; none relies on its session's state, so that
a transaction pooler may stand between. Errors are told in one line, without address or password.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import sqlalchemy
from sqlalchemy.exc import DBAPIError

from reconciler.database.address import DatabaseAddress
from reconciler.errors import ReconcilerError, SetupInvalid, Unavailable

CONNECT_TIMEOUT_SECONDS = 10
APPLICATION_NAME = "reconcile"


def create_engine(address: DatabaseAddress) -> sqlalchemy.Engine:
    """An engine for this address; it connects when it is first used."""
    return sqlalchemy.create_engine(
        "postgresql+psycopg://",
        poolclass=sqlalchemy.NullPool,
        use_native_hstore=False,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "application_name": APPLICATION_NAME,
            **address.parameters,
            "client_encoding": "utf8",
            # A prepared statement is its session's, and a pooler gives the next transaction another.
            "prepare_threshold": None,
        },
    )


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
    said = address.without_secrets(_first_line(error))
    where = address.without_secrets(address.describe())
    state = error.sqlstate or _state_of_refused_connection(str(error))
    kind, advice = _meaning(state, connected=error.sqlstate is not None)
    mark = f" ({state})" if error.sqlstate and kind is ReconcilerError else ""
    return kind(f"{where}: {said}{mark}; {advice}")


_TRY_AGAIN = "nothing was written; try again"

# https://www.postgresql.org/docs/18/errcodes-appendix.html; a class is its first two characters.
_MEANINGS: dict[str, tuple[type[ReconcilerError], str]] = {
    "28P01": (SetupInvalid, "set the right user and password"),
    "28": (SetupInvalid, "set a user and a way to sign in that this server allows"),
    "3D000": (SetupInvalid, "set the name of a database that is there, or create it"),
    "42501": (SetupInvalid, "use an account with this permission, or ask for it"),
    "25006": (
        SetupInvalid,
        "set the address of the primary server, or of an account that may write",
    ),
    "53300": (Unavailable, "it has too many connections: nothing was written; try again later"),
    "53": (Unavailable, "it is short of disk or memory: nothing was written; make room, try again"),
    "55P03": (Unavailable, "somebody else holds this lock: " + _TRY_AGAIN),
    "57014": (Unavailable, "it took too long or was cancelled: " + _TRY_AGAIN),
    "57P": (Unavailable, "it is starting or was shut down: " + _TRY_AGAIN),
    "58": (Unavailable, "its machine has trouble: nothing was written; see the server's log"),
    "08": (Unavailable, "the connection was lost: " + _TRY_AGAIN),
    "40": (Unavailable, "others were writing at the same time: " + _TRY_AGAIN),
    "25P03": (Unavailable, "it ended a transaction that waited too long: " + _TRY_AGAIN),
    "25P04": (Unavailable, "it ended a transaction that took too long: " + _TRY_AGAIN),
}


def _meaning(state: str | None, *, connected: bool) -> tuple[type[ReconcilerError], str]:
    """The meaning of a state by its longest known beginning; none is a connection that failed."""
    if state is None:
        return Unavailable, "see that the server runs and can be reached from here, and try again"
    for length in range(len(state), 1, -1):
        if state[:length] in _MEANINGS:
            return _MEANINGS[state[:length]]
    return ReconcilerError, "nothing was written; see --verbose for the statement"
