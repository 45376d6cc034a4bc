"""A client's own connections: each waits for a server for a bounded time.

A paused server, or a network that drops everything, neither answers nor refuses. A thread that
waits for it must return in time, try another connection, and let the data become stale meanwhile.
"""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from math import ceil
from typing import Any, Final, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus

from rollout_client.address import Address
from rollout_client.statements import statements

APPLICATION_NAME: Final = "reconcile-client"
_CONNECT_TIMEOUT_SECONDS: Final = 10

_Result = TypeVar("_Result")
_BEGIN = statements("rollout_client", "transaction")["begin"].encode()
_PARAMETER = re.compile(r"(?<!:):(\w+)")


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that gives up on a server that sends no data for `patience` seconds."""

    patience: float = 10.0

    def wait(
        self, gen: PQGen[_Result], interval: float = 0.1, timeout: float | None = None
    ) -> _Result:
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        return super().wait(_bounded(gen, time.monotonic() + self.patience), interval)

    def notified(self) -> list[psycopg.Notify]:
        """Return the notifications that arrived since the last call."""
        arrived = list(self.notifies(timeout=0))
        # A notification that came with the answer to COMMIT: libpq has read it; the driver would
        # wait for more data.
        while found := self.pgconn.notifies():
            channel, payload = (
                each.decode(errors="replace") for each in (found.relname, found.extra)
            )
            arrived.append(psycopg.Notify(channel, payload, found.be_pid))
        return arrived

    def ping(self, patience: float) -> None:
        """Ask the server for a sign of life.

        Raises:
            psycopg.OperationalError: There is none within this number of seconds.
        """
        usual, self.patience = self.patience, patience
        try:
            self.execute("SELECT")
        finally:
            self.patience = usual

    @contextmanager
    def begun(self, begin: bytes = b"BEGIN") -> Iterator[None]:
        """Open a transaction with the settings that each transaction of the reconciler has.

        `psycopg.Rollback` in the block takes back what it did, and is not raised.

        The driver's own transaction logs a warning where the server is lost: it tries a rollback, also of a
        BEGIN that failed. In a forked child each transaction of the parent is lost.
        """
        try:
            self.execute(b"%b;\n%b" % (begin, _BEGIN))
            yield
            self.execute("COMMIT")
        except psycopg.Rollback:
            self.execute("ROLLBACK")
        except BaseException as error:
            self._end_failed(error)
            raise

    def _end_failed(self, error: BaseException) -> None:
        """End the transaction in which an error occurred; close if the server is lost or still at work."""
        of_the_wire = isinstance(error, psycopg.OperationalError | OSError)
        is_lost = of_the_wire and getattr(error, "sqlstate", None) is None
        match self.info.transaction_status:
            case TransactionStatus.INTRANS | TransactionStatus.INERROR if not is_lost:
                self.execute("ROLLBACK")
            case TransactionStatus.IDLE if not is_lost:
                pass
            case _:
                self.close()


def _bounded(gen: PQGen[_Result], deadline: float) -> PQGen[_Result]:
    """Wait as a generator of the driver does, up to a time; before psycopg 3.3 the driver cannot."""
    try:
        waits_for = next(gen)
        while True:
            ready = yield waits_for
            if time.monotonic() >= deadline:
                gen.close()
                raise psycopg.OperationalError("the server does not answer in time")
            waits_for = gen.send(ready)
    except StopIteration as ended:
        result: _Result = ended.value
        return result


def connect(address: Address, *, patience: float) -> Connection:
    """Open a connection that commits each statement by itself.

    Raises:
        psycopg.Error: There is no server, it refuses, or it does not answer in time.
    """
    parameters: dict[str, Any] = {
        "connect_timeout": max(1, min(_CONNECT_TIMEOUT_SECONDS, ceil(patience))),
        "application_name": APPLICATION_NAME,
        **address.parameters,
        "client_encoding": "utf8",
    }
    # A prepared statement belongs to its session; a pooler gives the next transaction another one.
    connection = Connection.connect(autocommit=True, prepare_threshold=None, **parameters)
    connection.patience = patience
    return connection


@cache
def statement(name: str) -> bytes:
    """Return a statement of `sql/client.sql` in the driver's form of parameters."""
    return _PARAMETER.sub(
        r"%(\1)s", statements("rollout_client", "client")[name].replace("%", "%%")
    ).encode()


def in_a_line(error: Exception, address: Address) -> str:
    """Return an error in one line, without secrets."""
    said = " ".join(str(error).split()) or type(error).__name__
    printable = "".join(each if each.isprintable() else " " for each in said)
    return address.without_secrets(f"{address.describe()}: {printable}")
