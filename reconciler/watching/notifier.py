"""Notifications in the watch: each tick ends with the delivery of messages, in separate threads."""

from dataclasses import dataclass, field
from typing import Final

from reconciler.database.outbox import OutboxCounts, read_counts
from reconciler.database.transactions import read_only_transaction
from reconciler.errors import ReconcilerError
from reconciler.notifications.delivery import Deliverer
from reconciler.notifications.recorder import Recorder
from reconciler.operations.events import Subject
from reconciler.watching.failures import FailureTracker

TICKS_BETWEEN_PRUNES: Final = 100


@dataclass(slots=True)
class Notifier:
    """The part of a watcher that delivers notifications. A later tick tries again after an error."""

    deliverer: Deliverer
    recorder: Recorder
    failures: FailureTracker
    counts: OutboxCounts | None = None
    """At the last tick; None before the first."""
    _ticks: int = field(default=0)

    def tick(self) -> None:
        """Record the events that have no trigger, and start to deliver messages; never raise."""
        try:
            self._tick()
        except ReconcilerError as failure:
            self.failures.failed(Subject.DELIVERY, failure)
        else:
            self.failures.succeeded(Subject.DELIVERY)

    def wait(self, seconds: float) -> None:
        """Wait for messages that are being sent."""
        self.deliverer.wait(seconds)

    def _tick(self) -> None:
        self.recorder.flush()
        self.recorder.look_for_stuck_overrides()
        self.deliverer.start()
        with read_only_transaction(self.deliverer.database) as connection:
            self.counts = read_counts(connection)
        if self._ticks % TICKS_BETWEEN_PRUNES == 0:
            self.deliverer.prune()
        self._ticks += 1
