"""Leases: the one process that does work longer than a transaction, by the database's clock.

A running holder renews its lease; the lease of a killed one expires. No connection stays open, so a
transaction pooler can be used.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Self
from uuid import uuid4

from reconciler.database.driver import execute
from reconciler.database.queries import queries
from reconciler.database.transactions import Database, idempotent_transaction, read_only_transaction
from reconciler.errors import ReconcilerError, Unavailable

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection

_SQL = queries("lease")


WATCH_LEASE: Final = "watch"
"""The lease of the active watcher."""
WRITE_BACK_LEASE: Final = "write-back"
"""The lease of the process that writes back."""


class LeaseLost(Unavailable):
    """Wait and try again: the lease expired before its renewal, and another process may hold it."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The holder of a lease, and when the lease expires without a renewal."""

    name: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease of one holder, taken or not yet."""

    database: Database
    name: str
    holder: str
    length: timedelta

    @classmethod
    def of_this_process(cls, database: Database, name: str, length: timedelta) -> Self:
        """Return a lease that this process may take."""
        return cls(database, name, _this_process(), length)

    def take(self) -> bool:
        """Take the lease if it is free or has expired; return whether it was taken."""
        return idempotent_transaction(self.database, lambda each: self._execute(each, "take"))

    def renew(self) -> None:
        """Extend the lease to its whole length from now.

        Raises:
            LeaseLost: it had expired.
        """
        if not idempotent_transaction(self.database, lambda each: self._execute(each, "renew")):
            raise LeaseLost(f"the lease {self.name} expired while it was held; try again")

    def record_tick(self) -> None:
        """Record a tick that succeeded."""
        idempotent_transaction(self.database, lambda each: self._execute(each, "ticked"))

    def release(self) -> None:
        """End the lease, so that another process can take it at once."""
        idempotent_transaction(self.database, lambda each: self._execute(each, "release"))

    def _execute(self, connection: "AnyConnection", statement: str) -> bool:
        return bool(
            execute(
                connection,
                _SQL[statement],
                {"name": self.name, "holder": self.holder, "length": self.length},
            ).rowcount
        )


@contextmanager
def held(database: Database, name: str, length: timedelta) -> Iterator[Lease | None]:
    """Take a lease, and release it afterwards; yield None if another process holds it."""
    lease = Lease.of_this_process(database, name, length)
    if not lease.take():
        yield None
        return
    try:
        yield lease
    finally:
        # The lease expires anyway, and an error of the work must not be hidden.
        with suppress(ReconcilerError):
            lease.release()


def end(database: Database, name: str) -> None:
    """End a lease of any process: a holder that still runs gets `LeaseLost` at its next renewal."""
    idempotent_transaction(database, lambda each: execute(each, _SQL["end"], {"name": name}))


def read_holder(database: Database, name: str) -> Holder | None:
    """Return the present holder of a lease."""
    with read_only_transaction(database) as connection:
        row = execute(connection, _SQL["holder"], {"name": name}).one_or_none()
    return None if row is None else Holder(row.holder, row.until)


def may_read_leases(connection: "AnyConnection") -> bool:
    """Return whether the account may read leases: grants of older releases lack the right."""
    return bool(execute(connection, _SQL["may_read"]).scalar())


def read_last_tick(connection: "AnyConnection") -> datetime | None:
    """Return when the last tick of the watch succeeded; None if none is recorded or visible."""
    if not may_read_leases(connection):
        return None
    found: datetime | None = execute(connection, _SQL["last_tick"], {"name": WATCH_LEASE}).scalar()
    return found


def _this_process() -> str:
    # In containers many processes have the same host name and process id.
    return f"process {os.getpid()} on {socket.gethostname()} ({uuid4().hex[:8]})"
