"""What talks to a remote: write-back and following, in a thread beside the ticks.

One pass at a time. A remote that hangs keeps the next pass waiting, and no tick.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Final
from uuid import UUID

from reconciler.database.lease import LeaseLost, read_holder
from reconciler.database.transactions import Database
from reconciler.git.checkout import CannotWriteBack
from reconciler.operations.events import Applied, NotApplied, Subject, Tell, WroteBack
from reconciler.operations.write_back import LEASE, write_back
from reconciler.operations.write_back_pass import Outcome
from reconciler.planning.watch import pause_seconds
from reconciler.watching.followed_branch import Follower
from reconciler.watching.troubles import Troubles

NO_PATIENCE: Final = timedelta(0)
"""Another pass of write-back carries what there is; the next tick looks again."""


@dataclass(slots=True)
class Carrier:
    """The remote's side of a watcher."""

    database: Database
    file: Path
    follower: Follower | None
    confirm: Callable[[], None]
    tell: Tell
    troubles: Troubles
    _thread: Thread | None = None
    _not_before: float = 0.0
    _failures: int = 0
    _done_with: str | None = None
    """The newest commit of the followed branch that nothing more is to be done with."""
    _not_applied: str | None = None
    """The one that could not be applied, and was told."""
    _told: frozenset[tuple[UUID, Outcome]] = field(default_factory=frozenset)

    def offer(self, *, has_pending: bool) -> None:
        """Begin a pass, unless one is under way, nothing is to be done, or it is too soon after a failure."""
        if self._is_at_work():
            return
        if not has_pending:
            self.troubles.succeeded(Subject.WRITE_BACK)
        is_due = has_pending or self.follower is not None
        if is_due and time.monotonic() >= self._not_before:
            self._thread = Thread(
                target=self._pass, args=(has_pending,), name="carrier", daemon=True
            )
            self._thread.start()

    def wait(self, seconds: float) -> None:
        """Wait for the pass that is under way, so long at most: whatever it leaves, the next one finds."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _is_at_work(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _pass(self, has_pending: bool) -> None:  # noqa: FBT001 - a thread's argument
        went_well = True
        if has_pending:
            went_well = self._attempt(Subject.WRITE_BACK, self._write_back)
        if self.follower is not None:
            went_well = self._attempt(Subject.FOLLOW, self._follow) and went_well
        self._failures = 0 if went_well else self._failures + 1
        pause = 0.0 if went_well else pause_seconds(self._failures)
        self._not_before = time.monotonic() + pause

    def _attempt(self, subject: Subject, work: Callable[[], bool]) -> bool:
        """Do a piece of work; tell whether nothing of it is left for another try."""
        try:
            return work()
        except LeaseLost:
            return True
        except Exception as error:  # noqa: BLE001 - the thread's last place
            self.troubles.failed(subject, error)
            return False

    def _write_back(self) -> bool:
        if read_holder(self.database, LEASE) is not None:
            # Such as a stop: it carries what there is, and the next tick looks again. No trouble.
            return False
        self.confirm()
        target = None if self.follower is None else self.follower.followed
        report = write_back(
            self.database,
            self.file,
            remote=None if target is None else target.remote,
            branch=None if target is None else target.branch,
            patience=NO_PATIENCE,
        )
        if report.problem is not None:
            self.troubles.failed(Subject.WRITE_BACK, CannotWriteBack(report.problem))
            return False
        self.troubles.succeeded(Subject.WRITE_BACK)
        found = {(each.override, each.outcome): each for each in report.overrides}
        for key in found.keys() - self._told:
            self.tell(WroteBack(report.remote, report.branch, found[key]))
        self._told = frozenset(found)
        return not any(outcome in _UNSETTLED for _, outcome in found)

    def _follow(self) -> bool:
        assert self.follower is not None  # noqa: S101 - asked for only where there is one
        result = self.follower.follow(self._done_with)
        self.troubles.succeeded(Subject.FOLLOW)
        match result:
            case Applied(commit):
                self._done_with, self._not_applied = commit, None
                self.tell(result)
            case NotApplied(commit):
                if commit != self._not_applied:
                    self.tell(result)
                # What refuses it may pass: a soak ends, a person takes drift back.
                self._not_applied = commit
                return False
            case commit:
                self._done_with, self._not_applied = commit, None
        return True


_UNSETTLED: Final = frozenset({Outcome.PENDING, Outcome.PROPOSED})
