"""The kept counts of eligible repositories: the leader counts again after changes, in a thread of its own."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Thread

from reconciler.database.eligible_counts import read_changes
from reconciler.database.lease import LeaseLost
from reconciler.database.transactions import Database, read_only_transaction
from reconciler.operations.eligible_counts import count_and_keep
from reconciler.operations.events import Subject
from reconciler.planning.eligible_count import rest_seconds
from reconciler.watching.failures import FailureTracker


@dataclass(slots=True)
class CountKeeper:
    """Keeps the counts of one watcher. No verdict needs them, and no tick waits for them."""

    database: Database
    confirm: Callable[[], None]
    """Called before anything is written; raises where this process is not the leader."""
    failures: FailureTracker
    clock: Callable[[], float] = time.monotonic
    """Returns seconds that never go back."""
    _changes: str | None = None
    """What the last count depends on; None before the first."""
    _not_before: float = float("-inf")
    _thread: Thread | None = None

    def start(self) -> None:
        """Count in the background if something changed, unless a count runs or the last one was just now."""
        is_running = self._thread is not None and self._thread.is_alive()
        if not is_running and self.clock() >= self._not_before:
            self._thread = Thread(target=self._run, name="eligible-counts", daemon=True)
            self._thread.start()

    def wait(self, seconds: float) -> None:
        """Wait at most `seconds` for the running count."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _run(self) -> None:
        began = self.clock()
        try:
            self._count_changes()
        except LeaseLost:
            self._changes = None
        except Exception as error:  # noqa: BLE001 - the last place: a later tick tries again
            self.failures.failed(Subject.COUNTS, error)
        else:
            self.failures.succeeded(Subject.COUNTS)
        finally:
            self._not_before = self.clock() + rest_seconds(self.clock() - began)

    def _count_changes(self) -> None:
        # Read before the count: a later change is counted the next time.
        with read_only_transaction(self.database) as connection:
            changes = read_changes(connection)
        if changes != self._changes:
            count_and_keep(self.database, self.confirm)
            self._changes = changes
