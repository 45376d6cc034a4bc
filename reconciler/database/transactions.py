"""Transactions: read-only ones, and writes that take place once.

A write has an id, made before its transaction, which the transaction records (`rollout_write`). If
COMMIT gets no answer, the write is tried again with the same id. The database accepts it only if the
lost transaction did not commit, and first waits for one that has not ended. Postgres itself cannot
say which: after a failover the new primary answers `pg_xact_status` of a lost transaction with the
state of another one.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache, partial
from itertools import count
from typing import TYPE_CHECKING, Final, Self, TypeVar
from uuid import UUID, uuid4

import psycopg

from reconciler.database.address import DatabaseAddress
from reconciler.database.connection import (
    OF_THE_ACCOUNT,
    Rights,
    create_engine,
    driver_connection,
    in_a_line,
    sqlstate,
    translated_errors,
)
from reconciler.database.driver import (
    DriverConnection,
    driver_error,
    execute,
    is_connection_lost,
)
from reconciler.database.locks import (
    ENDED,
    OnWait,
    describe_holders,
    is_lock_timeout,
    wait_silently,
)
from reconciler.database.patience import Patience, is_of_switchover, pause
from reconciler.database.queries import queries
from reconciler.errors import OutcomeUnknown, Unavailable

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine


Result = TypeVar("Result")
Kind = TypeVar("Kind", "Connection", DriverConnection)

_SQL = queries("writes")
TRIES: Final = 4
DOUBT_SECONDS: Final = 6.0
"""A write whose COMMIT got no answer is tried again for at least this long."""
_KEPT_FOR: Final = timedelta(hours=1)
"""How long the database knows a write: far longer than its last try."""
_RETRIED_SQLSTATES: Final = ("08", "57P", "53300", "40001", "40P01", "23505")
"""Prefixes: connection lost or server not ready, too many connections, serialization failure, deadlock,
and a generation that another writer created first."""
_UNANSWERED_SQLSTATES: Final = ("08", "57P")
"""Prefixes of errors after which COMMIT may have taken place; a server that stops sends them too."""
_UNDEFINED_FUNCTION: Final = "42883"
_TIMED_OUT: Final = "57014"
"""A statement was cancelled, by its time limit or by a person."""


@dataclass(frozen=True, slots=True)
class Database:
    """A database to work on: its address, for messages without secrets, and its engine."""

    address: DatabaseAddress
    opened: "Engine | Callable[[], Engine]"
    """The engine, or what makes it once."""
    on_wait: OnWait = wait_silently
    patience: Patience = field(default_factory=Patience)
    rights: Rights = OF_THE_ACCOUNT

    @classmethod
    def at(
        cls,
        address: DatabaseAddress,
        *,
        on_wait: OnWait = wait_silently,
        patience_seconds: float = 0.0,
        rights: Rights = OF_THE_ACCOUNT,
    ) -> Self:
        """Return the database at an address; it is connected at its first use.

        Args:
            address: the address.
            on_wait: called with a sentence before an act waits for a lock or a server.
            patience_seconds: how long an act waits for a server that accepts writes.
            rights: the rights of its transactions.
        """
        patience = Patience(patience_seconds, on_wait)
        make = cache(partial(create_engine, address, patience, rights))
        return cls(address, make, on_wait, patience, rights)

    @property
    def engine(self) -> "Engine":
        """The engine, for the schema; its first use imports SQLAlchemy."""
        return self.opened() if callable(self.opened) else self.opened


@contextmanager
def read_only_transaction(database: Database) -> Iterator[DriverConnection]:
    """Yield a connection on which every statement sees the same snapshot and cannot write."""
    with (
        translated_errors(database.address),
        driver_connection(
            database.address,
            database.patience,
            database.rights,
            isolation=psycopg.IsolationLevel.REPEATABLE_READ,
            is_read_only=True,
        ) as connection,
    ):
        yield connection
        connection.rollback()


def write_transaction(database: Database, work: Callable[[DriverConnection], Result]) -> Result:
    """Run `work` in one transaction, commit it, and return its result.

    `work` may run several times; it must use only the connection. It takes place once.

    Raises:
        OutcomeUnknown: the server could not be asked whether a lost COMMIT took place.
        SetupInvalid: the schema is not this release's.
        ReconcilerError: as in `translated_errors`; nothing was written.
    """
    tries = _Tries(database.patience)
    write = uuid4()
    results: list[Result] = []

    def claimed_work(connection: DriverConnection) -> Result:
        is_new = _claim(connection, write)
        tries.is_in_doubt = False
        if not is_new:
            raise _TookPlace
        results.append(work(connection))
        return results[-1]

    try:
        return _translated(database, tries, claimed_work)
    except _TookPlace:
        return results[-1]


def idempotent_transaction(
    database: Database, work: Callable[[DriverConnection], Result]
) -> Result:
    """Run `work` as `write_transaction` does, where nothing changes if it takes place twice.

    Raises:
        OutcomeUnknown: the server could not be asked whether a lost COMMIT took place.
        ReconcilerError: as in `translated_errors`; nothing was written.
    """
    return _translated(database, _Tries(database.patience), work)


def run_transaction(engine: "Engine", work: Callable[["Connection"], Result]) -> Result:
    """Run `work` as `idempotent_transaction` does, and raise the driver's errors unchanged."""
    return _Tries(Patience()).run(partial(_engine_connection, engine), work)


@contextmanager
def _engine_connection(engine: "Engine") -> Iterator["Connection"]:
    with engine.connect() as connection:
        # Independent of the server's default: reads after a lock see the writes of its last holder.
        connection.execution_options(isolation_level="READ COMMITTED")
        yield connection


def _translated(
    database: Database,
    tries: "_Tries",
    work: Callable[[DriverConnection], Result],
) -> Result:
    begin = partial(
        driver_connection,
        database.address,
        database.patience,
        database.rights,
        # Independent of the server's default: reads after a lock see the writes of its last holder.
        isolation=psycopg.IsolationLevel.READ_COMMITTED,
    )
    with translated_errors(database.address):
        for failures in count(1):
            try:
                result = tries.run(begin, work)
                break
            except Exception as error:
                if not is_lock_timeout(error):
                    raise
                was_soon = tries.was_soon
                holders = tries.run(begin, describe_holders)
                obstacle = f"another transaction holds the lock: {holders or ENDED}"
                # A server that stood still counts that time as waiting for a lock.
                may_pass = was_soon and (failures == 1 or holders is None) and failures < TRIES
                if may_pass and database.patience.wait(obstacle):
                    continue
                raise Unavailable(
                    f"{database.address.describe()}: {obstacle}; nothing was written; "
                    "try again when it has ended"
                ) from error
    database.patience.end()
    return result


def _claim(connection: DriverConnection, write: UUID) -> bool:
    """Record the write in the transaction; return False if it has taken place."""
    try:
        row = execute(connection, _SQL["claim"], {"id": write, "keep_for": _KEPT_FOR}).one()
    except Exception as error:
        original = driver_error(error)
        if original is not None and original.sqlstate == _UNDEFINED_FUNCTION:
            from reconciler.database.schema import require_newest

            connection.rollback()
            require_newest(connection)
        raise
    return bool(row.is_new)


class _TookPlace(Exception):
    """An earlier try has committed; its COMMIT got no answer."""


class _Tries:
    """The tries of one transaction."""

    def __init__(self, patience: Patience) -> None:
        self.is_in_doubt = False
        """Whether the last COMMIT got no answer, and no later try found its outcome."""
        self._patience = patience
        self._failures = 0
        self._doubt_until = 0.0
        self._began = 0.0
        """When the last try began."""
        self._has_timed_out = False

    @property
    def was_soon(self) -> bool:
        """Whether the last try ended within the time that the act may wait."""
        return time.monotonic() - self._began <= self._patience.seconds

    def run(
        self,
        begin: Callable[[], AbstractContextManager[Kind]],
        work: Callable[[Kind], Result],
    ) -> Result:
        """Run `work` in a transaction of its own until one commits."""
        while True:
            try:
                return self._try(begin, work)
            except Exception as error:
                if driver_error(error) is None and not is_connection_lost(error):
                    raise
                if not self._waited_for_next(error):
                    if self.is_in_doubt:
                        raise OutcomeUnknown(
                            "the connection was lost during COMMIT, and the database does not "
                            "answer; see `reconcile history` for the outcome before you try again"
                        ) from error
                    raise

    def _try(
        self,
        begin: Callable[[], AbstractContextManager[Kind]],
        work: Callable[[Kind], Result],
    ) -> Result:
        self._began = time.monotonic()
        with begin() as connection:
            result = work(connection)
            try:
                connection.commit()
            except Exception as error:
                if driver_error(error) is not None or is_connection_lost(error):
                    self.is_in_doubt = _got_no_answer(error)
                    self._doubt_until = time.monotonic() + DOUBT_SECONDS
                raise
            return result

    def _waited_for_next(self, error: Exception) -> bool:
        """Wait if there is a next try; return whether there is one."""
        self._failures += 1
        is_soon = _is_worth_another_try(error) and self._failures < TRIES
        is_still_in_doubt = self.is_in_doubt and time.monotonic() < self._doubt_until
        if is_soon or is_still_in_doubt:
            pause(self._failures)
            return True
        original = driver_error(error)
        if original is None:
            return False
        state = sqlstate(original)
        may_pass = (
            self.is_in_doubt or is_of_switchover(original, state) or self._is_first_timeout(state)
        )
        return may_pass and self._patience.wait(in_a_line(original))

    def _is_first_timeout(self, state: str | None) -> bool:
        """Return whether a statement was at its time limit for the first time, and soon enough to try again.

        A server that stood still counts that time too; another one may be the primary now.
        """
        if state != _TIMED_OUT or self._has_timed_out:
            return False
        self._has_timed_out = True
        return self.was_soon


def _got_no_answer(error: Exception) -> bool:
    original = driver_error(error)
    if is_connection_lost(error) or original is None:
        return True
    state = sqlstate(original)
    return state is None or state.startswith(_UNANSWERED_SQLSTATES)


def _is_worth_another_try(error: Exception) -> bool:
    if is_connection_lost(error):
        return True
    match driver_error(error):
        case psycopg.errors.ConnectionTimeout():
            return False
        case psycopg.Error() as original:
            state = sqlstate(original)
            # Without a SQLSTATE no server answered: a server that restarts answers soon.
            return state is None or state.startswith(_RETRIED_SQLSTATES)
        case _:
            return False
