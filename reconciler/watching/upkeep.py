"""Upkeep by the leader: merge the sums of jobs, delete old rows, choose the cheapest processors."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from reconciler.database.metrics import merge_sums, prune_batch
from reconciler.database.transactions import Database, write_transaction
from reconciler.operations.cheapest import resolve_cheapest

if TYPE_CHECKING:
    from datetime import timedelta

    from reconciler.database.driver import AnyConnection

SECONDS_BETWEEN: Final = 10.0
SECONDS_BETWEEN_CHOICES: Final = 86_400.0
MERGED_AT_ONCE: Final = 10_000
DELETED_AT_ONCE: Final = 2_000


@dataclass(slots=True)
class Upkeep:
    """The upkeep of one watcher. Verdicts do not depend on it: the sums are correct at any time."""

    database: Database
    keep: "timedelta | None"
    """How long rows of metrics are kept; None keeps all."""
    confirm: Callable[[], None]
    """Called before anything is written; raises where this process is not the leader."""
    _not_before: float = 0.0
    _resolve_not_before: float = 0.0

    def run(self) -> None:
        """Merge and delete some rows, unless that was done just now.

        Raises:
            LeaseLost: another process is the leader.
            ReconcilerError: the database refused; the next run tries again.
        """
        if time.monotonic() < self._not_before:
            return
        self._not_before = time.monotonic() + SECONDS_BETWEEN
        self.confirm()
        write_transaction(self.database, self._work)
        if time.monotonic() >= self._resolve_not_before:
            self._resolve_not_before = time.monotonic() + SECONDS_BETWEEN_CHOICES
            resolve_cheapest(self.database)

    def _work(self, connection: "AnyConnection") -> None:
        merge_sums(connection, MERGED_AT_ONCE)
        if self.keep is not None:
            prune_batch(connection, self.keep, DELETED_AT_ONCE)
