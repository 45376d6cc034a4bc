"""The stored evidence: the leader counts each closed window once, so that a tick reads the open one alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from reconciler.database.health import count_closed_windows
from reconciler.database.lease import Lease, LeaseLost
from reconciler.database.transactions import Database, write_transaction
from reconciler.errors import ReconcilerError
from reconciler.operations.automatic_rollback import Judged
from reconciler.planning.evidence import window_of


@dataclass(slots=True)
class EvidenceKeeper:
    """Keeps the evidence of one watcher's features. A verdict is correct without it, but takes longer."""

    database: Database
    lease: Lease
    confirm: Callable[[], None]
    """Called before anything is written; raises where this process is not the leader."""
    _counted: dict[str, datetime] = field(default_factory=dict)
    """By feature: the window that was open when closed ones were counted last."""

    def count(self, judged: Sequence[Judged]) -> None:
        """Count the windows that closed since the last time; a failing feature stops no other.

        Raises:
            LeaseLost: another process is the leader.
            ReconcilerError: the database refused; the next tick tries again.
        """
        failure: ReconcilerError | None = None
        for each in judged:
            name, window = each.found.name, window_of(each.health.period.now)
            if each.health.evidence is None or self._counted.get(name) == window:
                continue
            try:
                self.confirm()
                self._count(name)
                self._counted[name] = window
            except LeaseLost:
                raise
            except ReconcilerError as error:
                failure = error
        if failure is not None:
            raise failure

    def _count(self, feature: str) -> None:
        write_transaction(
            self.database, lambda each: count_closed_windows(each, self.lease, feature)
        )
