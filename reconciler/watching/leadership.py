"""Leadership: which process is the active watcher. The leader holds a lease in the database.

The lease ends by the database's clock. This process remembers the moment before it asked for the lease,
from which on the lease lasts at least its whole length.
"""

import time
from datetime import timedelta

from reconciler.database.lease import WATCH_LEASE, Lease, LeaseLost, read_holder
from reconciler.database.transactions import Database
from reconciler.planning.watch import LeaseStep, lease_step


class Leadership:
    """This process's hold on the lease of the watch."""

    def __init__(self, database: Database, length_seconds: float) -> None:
        self._length_seconds = length_seconds
        self.lease = Lease.of_this_process(database, WATCH_LEASE, timedelta(seconds=length_seconds))
        """The lease, which this process holds or not."""
        self._lasts_until: float | None = None
        self._is_over = False
        self.holder: str | None = None
        """The leader's name if another process is the leader."""

    def is_leader(self) -> bool:
        """Return whether this process is the leader; take or renew the lease if that is due."""
        remaining = None if self._lasts_until is None else self._lasts_until - time.monotonic()
        match lease_step(remaining, self._length_seconds):
            case LeaseStep.KEEP:
                return True
            case LeaseStep.RENEW:
                return self._renew_or_take()
            case LeaseStep.READ_HOLDER:
                holder = read_holder(self.lease.database, WATCH_LEASE)
                # This process may hold it without knowing: the answer to its request can be lost.
                if holder is None or holder.name == self.lease.holder:
                    return self._renew_or_take()
                self.holder = holder.name
                return False

    def confirm(self) -> None:
        """Renew the lease before an action.

        Raises:
            LeaseLost: another process is the leader.
        """
        if not self._renew_or_take():
            raise LeaseLost("another watcher has taken over")

    def release(self) -> None:
        """Release the lease, so that the next process can take it at once; never take it again."""
        self._is_over = True
        if self._lasts_until is not None:
            self._lasts_until = None
            self.lease.release()

    def _renew_or_take(self) -> bool:
        """Renew the lease, or take it if it ran out and is free; return whether this succeeded."""
        asked_at = time.monotonic()
        try:
            self.lease.renew()
        except LeaseLost:
            if self._is_over or not self.lease.take():
                self._lasts_until = None
                holder = read_holder(self.lease.database, WATCH_LEASE)
                self.holder = None if holder is None else holder.name
                return False
        self._lasts_until = asked_at + self._length_seconds
        self.holder = None
        return True
