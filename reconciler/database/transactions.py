"""Transactions: one that cannot write, and one whose outcome is known.

A write is tried again, a few times with jitter, only where it is certain that it did not commit. Where
the answer to COMMIT was lost, the server is asked what became of the transaction.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Self, TypeVar

from sqlalchemy import Connection, Engine, exc

from reconciler.database.address import DatabaseAddress
from reconciler.database.connection import create_engine, translated_errors
from reconciler.errors import OutcomeUnknown

Result = TypeVar("Result")

TRIES: Final = 4
FIRST_PAUSE_SECONDS: Final = 0.1
_RETRIED_SQLSTATES: Final = frozenset({"40001", "40P01", "23505"})
"""Serialization failure, deadlock, and a generation that another writer made first."""


@dataclass(frozen=True, slots=True)
class Database:
    """A database to work on: its address, for messages that tell no secret, and its engine."""

    address: DatabaseAddress
    engine: Engine

    @classmethod
    def at(cls, address: DatabaseAddress) -> Self:
        """Return the database at an address; it is connected to when it is first used."""
        return cls(address, create_engine(address))


@contextmanager
def read_only_transaction(database: Database) -> Iterator[Connection]:
    """Yield a connection on which every statement sees the same moment and none can write."""
    with translated_errors(database.address), database.engine.connect() as connection:
        yield connection.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        connection.rollback()


def write_transaction(database: Database, work: Callable[[Connection], Result]) -> Result:
    """Run `work` in one transaction, commit it, and return its result.

    `work` may run several times; it must not touch anything but the connection.

    Raises:
        OutcomeUnknown: the server could not be asked whether a lost COMMIT took place.
        ReconcilerError: as `translated_errors` says; nothing was written.
    """
    with translated_errors(database.address):
        for attempt in range(1, TRIES):
            try:
                return _attempt(database.engine, work)
            except exc.DBAPIError as error:
                if not _is_worth_another_try(error):
                    raise
            time.sleep(random.uniform(0.5, 1.5) * FIRST_PAUSE_SECONDS * 2**attempt)  # noqa: S311
        return _attempt(database.engine, work)


def _attempt(engine: Engine, work: Callable[[Connection], Result]) -> Result:
    with engine.connect() as connection:
        transaction = connection.exec_driver_sql("SELECT pg_current_xact_id()::text").scalar_one()
        result = work(connection)
        try:
            connection.commit()
        except exc.DBAPIError as error:
            if not error.connection_invalidated or not _was_committed(engine, transaction):
                raise
        return result


def _is_worth_another_try(error: exc.DBAPIError) -> bool:
    return error.connection_invalidated or (
        getattr(error.orig, "sqlstate", None) in _RETRIED_SQLSTATES
    )


def _was_committed(engine: Engine, transaction: str) -> bool:
    """Ask what became of a transaction whose COMMIT was not answered."""
    statement = "SELECT pg_xact_status(%s::text::xid8)"
    for attempt in range(1, TRIES + 1):
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
                time.sleep(FIRST_PAUSE_SECONDS * 2**attempt)
    raise OutcomeUnknown(
        "the database went away while it was asked to commit, and does not answer; "
        "see `reconcile history` for what was written before trying again"
    )
