"""Transactions: one that cannot write, and one with a known outcome.

A write is retried, a few times with jitter, only if it certainly did not commit. If COMMIT gets no
answer, the server is asked for the transaction's outcome.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Self, TypeVar

import psycopg
from sqlalchemy import Connection, Engine, exc

from reconciler.database.address import DatabaseAddress
from reconciler.database.connection import create_engine, sqlstate, translated_errors
from reconciler.database.locks import OnWait, describe_holders, is_lock_timeout, wait_silently
from reconciler.errors import OutcomeUnknown, Unavailable
from rollout_client.backoff import backoff_seconds, with_jitter

Result = TypeVar("Result")

TRIES: Final = 4
FIRST_BACKOFF_SECONDS: Final = 0.1
_LONGEST_BACKOFF_SECONDS: Final = 4.0
QUESTIONS: Final = 6
"""How often the server is asked for a transaction's outcome, over six seconds."""
_RETRIED_SQLSTATES: Final = ("08", "57P", "53300", "40001", "40P01", "23505")
"""Prefixes: connection lost or server not ready, too many connections, serialization failure, deadlock,
and a generation that another writer created first."""


@dataclass(frozen=True, slots=True)
class Database:
    """A database to work on: its address, for messages without secrets, and its engine."""

    address: DatabaseAddress
    engine: Engine
    on_wait: OnWait = wait_silently

    @classmethod
    def at(cls, address: DatabaseAddress) -> Self:
        """Return the database at an address; it is connected at its first use."""
        return cls(address, create_engine(address))


@contextmanager
def read_only_transaction(database: Database) -> Iterator[Connection]:
    """Yield a connection on which every statement sees the same snapshot and cannot write."""
    with translated_errors(database.address), database.engine.connect() as connection:
        yield connection.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        connection.rollback()


def write_transaction(database: Database, work: Callable[[Connection], Result]) -> Result:
    """Run `work` in one transaction, commit it, and return its result.

    `work` may run several times; it must use only the connection.

    Raises:
        OutcomeUnknown: the server could not be asked whether a lost COMMIT took place.
        ReconcilerError: as in `translated_errors`; nothing was written.
    """
    with translated_errors(database.address):
        try:
            return run_transaction(database.engine, work)
        except exc.DBAPIError as error:
            if not is_lock_timeout(error):
                raise
            with database.engine.connect() as connection:
                holders = describe_holders(connection)
            raise Unavailable(
                f"{database.address.describe()}: another transaction holds the lock: {holders}; "
                "nothing was written; try again when it has ended"
            ) from error


def run_transaction(engine: Engine, work: Callable[[Connection], Result]) -> Result:
    """Run `work` as `write_transaction` does, and raise the driver's errors unchanged."""
    for attempt in range(1, TRIES):
        try:
            return _attempt(engine, work)
        except exc.DBAPIError as error:
            if not _is_worth_another_try(error):
                raise
        time.sleep(with_jitter(_backoff(attempt + 1)))
    return _attempt(engine, work)


def _attempt(engine: Engine, work: Callable[[Connection], Result]) -> Result:
    with engine.connect() as connection:
        # Independent of the server's default: reads after a lock see what its last holder wrote.
        connection.execution_options(isolation_level="READ COMMITTED")
        transaction = connection.exec_driver_sql(
            "SELECT pg_catalog.pg_current_xact_id()::text"
        ).scalar_one()
        result = work(connection)
        try:
            connection.commit()
        except exc.DBAPIError:
            if not _was_committed(engine, transaction):
                raise
        return result


def _backoff(failures: int) -> float:
    return backoff_seconds(
        failures, first_seconds=FIRST_BACKOFF_SECONDS, longest_seconds=_LONGEST_BACKOFF_SECONDS
    )


def _is_worth_another_try(error: exc.DBAPIError) -> bool:
    if error.connection_invalidated:
        return True
    match error.orig:
        case psycopg.errors.ConnectionTimeout():
            return False
        case psycopg.Error() as original:
            state = sqlstate(original)
            # Without a SQLSTATE no server answered: a server that restarts answers soon.
            return state is None or state.startswith(_RETRIED_SQLSTATES)
        case _:
            return False


def _was_committed(engine: Engine, transaction: str) -> bool:
    """Return whether a transaction committed whose COMMIT got no answer."""
    statement = "SELECT pg_catalog.pg_xact_status(%s::text::xid8)"
    for question in range(1, QUESTIONS + 1):
        # If it is asked at once, the server still reports it as in progress.
        time.sleep(_backoff(question))
        try:
            with engine.connect() as connection:
                status = connection.exec_driver_sql(statement, (transaction,)).scalar()
        except exc.DBAPIError:
            status = None
        match status:
            case "committed":
                return True
            case "aborted":
                return False
            case _:
                continue
    raise OutcomeUnknown(
        "the connection was lost during COMMIT, and the database does not answer; "
        "see `reconcile history` for the outcome before you try again"
    )
