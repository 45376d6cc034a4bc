"""Whose turn it is: one watcher is active at a time, by a lease in the database.

The lease is the database's clock's. Here only the moment before it was asked for is remembered, after
which it lasts at least as long as it was asked for.
"""

import time
from datetime import timedelta
from typing import Final

from reconciler.database.lease import Lease, LeaseLost, read_holder
from reconciler.database.transactions import Database
from reconciler.planning.watch import LeaseStep, lease_step

LEASE: Final = "watch"


class Leadership:
    """This process's claim to be the active watcher."""

    def __init__(self, database: Database, length_seconds: float) -> None:
        self._length_seconds = length_seconds
        self._lease = Lease.of_this_process(database, LEASE, timedelta(seconds=length_seconds))
        self._lasts_until: float | None = None
        self._is_over = False
        self.holder: str | None = None
        """Who else has it, where this process does not."""

    def is_ours(self) -> bool:
        """Tell whether this process is the active one, taking or keeping the lease where it may."""
        remaining = None if self._lasts_until is None else self._lasts_until - time.monotonic()
        match lease_step(remaining, self._length_seconds):
            case LeaseStep.KEEP:
                return True
            case LeaseStep.RENEW:
                return self._claim()
            case LeaseStep.ASK:
                holder = read_holder(self._lease.database, LEASE)
                # It may be ours without our knowing: an answer can get lost.
                if holder is None or holder.name == self._lease.holder:
                    return self._claim()
                self.holder = holder.name
                return False

    def confirm(self) -> None:
        """Make sure of the lease before acting.

        Raises:
            LeaseLost: another watcher has taken it.
        """
        if not self._claim():
            raise LeaseLost("another watcher has taken over")

    def release(self) -> None:
        """Let the next one in at once, and take it no more."""
        self._is_over = True
        if self._lasts_until is not None:
            self._lasts_until = None
            self._lease.release()

    def _claim(self) -> bool:
        """Renew the lease, or take it where it has run out and nobody else came."""
        asked_at = time.monotonic()
        try:
            self._lease.renew()
        except LeaseLost:
            if self._is_over or not self._lease.take():
                self._lasts_until = None
                holder = read_holder(self._lease.database, LEASE)
                self.holder = None if holder is None else holder.name
                return False
        self._lasts_until = asked_at + self._length_seconds
        self.holder = None
        return True
