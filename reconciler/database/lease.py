"""Leases: who is the one to do something that outlasts a transaction, by the database's clock.

Who is killed holds nothing for longer than the lease; who lives renews it. No connection is kept, so that
a transaction pooler may stand between.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self
from uuid import uuid4

from sqlalchemy import text

from reconciler.database.queries import queries
from reconciler.database.transactions import Database, read_only_transaction, write_transaction
from reconciler.errors import ReconcilerError, Unavailable

if TYPE_CHECKING:
    from sqlalchemy import Connection

_SQL = queries("lease")


class LeaseLost(Unavailable):
    """The lease ran out before it was renewed, and somebody else may go on."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lease, and until when if nothing renews it."""

    name: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease, and who holds it or is to."""

    database: Database
    name: str
    holder: str
    length: timedelta

    @classmethod
    def of_this_process(cls, database: Database, name: str, length: timedelta) -> Self:
        """Return a lease that this process may take."""
        return cls(database, name, _this_process(), length)

    def take(self) -> bool:
        """Take it where it is free or has run out; tell whether it was."""
        return write_transaction(self.database, lambda each: self._execute(each, "take"))

    def renew(self) -> None:
        """Make it last its whole length again.

        Raises:
            LeaseLost: it had run out.
        """
        if not write_transaction(self.database, lambda each: self._execute(each, "renew")):
            raise LeaseLost(f"the lease {self.name} ran out while it was held; try again")

    def release(self) -> None:
        """Let the next one in at once; nothing where it has run out."""
        write_transaction(self.database, lambda each: self._execute(each, "release"))

    def _execute(self, connection: "Connection", statement: str) -> bool:
        return bool(
            connection.execute(
                text(_SQL[statement]),
                {"name": self.name, "holder": self.holder, "length": self.length},
            ).rowcount
        )


@contextmanager
def held(database: Database, name: str, length: timedelta) -> Iterator[Lease | None]:
    """Take a lease, and release it afterwards; None where somebody else holds it."""
    lease = Lease.of_this_process(database, name, length)
    if not lease.take():
        yield None
        return
    try:
        yield lease
    finally:
        # It runs out anyway; what ends the work is not to be hidden.
        with suppress(ReconcilerError):
            lease.release()


def read_holder(database: Database, name: str) -> Holder | None:
    """Return who holds a lease now."""
    with read_only_transaction(database) as connection:
        row = connection.execute(text(_SQL["holder"]), {"name": name}).one_or_none()
    return None if row is None else Holder(row.holder, row.until)


def _this_process() -> str:
    # In containers many processes have the same name and number.
    return f"process {os.getpid()} on {socket.gethostname()} ({uuid4().hex[:8]})"
