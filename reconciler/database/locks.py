"""The lock of writers, and the sessions that hold a lock.

One apply, upgrade, repair, removal or grant of roles runs at a time. Their lock is a row that only
an account with the right to apply can lock; an advisory lock could be taken by any login. A
transaction-level lock, so that a pooled connection keeps nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from reconciler.database.driver import driver_error, execute
from reconciler.database.queries import queries
from reconciler.errors import SetupInvalid, Unavailable

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection


_SQL = queries("locks")

LOCK_TABLE: Final = "rollout_lock"
LOCK_NOT_AVAILABLE: Final = "55P03"
"""The SQLSTATE of a lock that was not granted in time."""
LONGEST_WAIT: Final = "60s"
ENDED: Final = "a transaction that has ended meanwhile"

OnWait = Callable[[str], None]
"""Called once with a sentence without its end, before a writer waits for another one."""


@dataclass(frozen=True, slots=True)
class LockHolder:
    """A session that holds a lock. Postgres hides times and states of other accounts' sessions."""

    process_id: int
    program: str
    role: str | None
    state: str | None
    since: datetime | None

    def __str__(self) -> str:
        since = (
            "the start of its transaction is hidden from this account"
            if self.since is None
            else f"in a transaction since {self.since:%Y-%m-%d %H:%M:%S} UTC"
        )
        role = "no role" if self.role is None else f"role {self.role}"
        parts = [self.program, role, *([self.state] if self.state else []), since]
        return f"process {self.process_id} ({', '.join(parts)})"


def wait_silently(_sentence: str) -> None:
    """Do nothing: a caller that reports no waiting passes this."""


def lock_writers(
    connection: "AnyConnection", *, longest_wait: str | None = None, on_wait: OnWait = wait_silently
) -> None:
    """Lock out every other writer until this transaction ends; first wait for the one that runs.

    Args:
        connection: the connection of the transaction.
        longest_wait: how long to wait, as Postgres reads it; by default `LONGEST_WAIT`.
        on_wait: called before it waits.

    Raises:
        SetupInvalid: the row is missing.
        Unavailable: another writer held the lock for too long; the message names it.
    """
    if execute(connection, _SQL["try"]).one_or_none() is not None:
        return
    longest_wait = longest_wait or LONGEST_WAIT
    on_wait(f"waiting for {_read_writer(connection)}, which holds the lock of writers")
    execute(connection, _SQL["limit_waiting"], {"lock_timeout": longest_wait})
    try:
        with connection.begin_nested():
            found = execute(connection, _SQL["wait"]).one_or_none()
    except Exception as error:
        if not is_lock_timeout(error):
            raise
        raise Unavailable(
            f"{_read_writer(connection)} holds the lock of writers for longer than {longest_wait}; "
            "nothing was written; end that transaction or wait for it, and try again"
        ) from error
    if found is None:
        raise SetupInvalid(
            f"the row of {LOCK_TABLE} is missing; nothing was written; run: reconcile db upgrade"
        )


def is_lock_timeout(error: Exception) -> bool:
    """Return whether a statement failed because a lock was not granted in time."""
    original = driver_error(error)
    return original is not None and original.sqlstate == LOCK_NOT_AVAILABLE


def describe_holders(connection: "AnyConnection", *, with_readers: bool = False) -> str | None:
    """Return which sessions hold locks on the rollout's tables, the oldest transaction first, for people.

    None if no session holds one now.

    Args:
        connection: a connection to the database.
        with_readers: whether to include sessions that only read; an upgrade waits for those too.
    """
    rows = execute(connection, _SQL["holders"], {"with_readers": with_readers}).all()
    return _describe(rows)


def _read_writer(connection: "AnyConnection") -> str:
    return _describe(execute(connection, _SQL["writer"]).all()) or ENDED


def _describe(rows: Sequence["Any"]) -> str | None:
    holders = (LockHolder(row.pid, row.program, row.role, row.state, row.since) for row in rows)
    return "; ".join(map(str, holders)) or None
