"""Write-back and following: the work of the watch that needs the git remote, in a thread of its own.

One pass runs at a time. A remote that hangs delays the next pass; it does not delay a tick.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Final
from uuid import UUID

from reconciler.database.lease import WRITE_BACK_LEASE, LeaseLost, read_holder
from reconciler.database.lineage import Lineage
from reconciler.database.transactions import Database
from reconciler.git.checkout import CannotWriteBack
from reconciler.operations.events import CommitApplied, CommitNotApplied, Subject, WroteBack
from reconciler.operations.listeners import Emit
from reconciler.operations.write_back import write_back
from reconciler.operations.write_back_pass import Outcome
from reconciler.planning.watch import retry_seconds
from reconciler.watching.failures import FailureTracker
from reconciler.watching.followed_branch import Follower
from reconciler.watching.lineage import LineageWatch

NO_PATIENCE: Final = timedelta(0)
"""Do not wait for another process's write-back: it writes the overrides, and the next tick checks them."""


@dataclass(slots=True)
class RemoteWorker:
    """The part of a watcher that talks to the git remote."""

    database: Database
    file: Path
    follower: Follower | None
    lineage: LineageWatch
    writes_back: bool
    """Whether overrides are written to git."""
    confirm: Callable[[], None]
    """Called before anything is written; raises if this process is not the leader."""
    emit: Emit
    failures: FailureTracker
    _thread: Thread | None = None
    _not_before: float = 0.0
    _last_new: Lineage | None = None
    """The last lineage that was to be compared with git."""
    _failures_in_a_row: int = 0
    _finished_commit: str | None = None
    """The newest commit of the followed branch that needs no more work."""
    _refused_commit: str | None = None
    """The commit that could not be applied and was reported."""
    _reported: frozenset[tuple[UUID, Outcome]] = field(default_factory=frozenset)

    def start_pass(self, *, has_pending: bool) -> None:
        """Start a pass, unless one is running, there is no work, or the backoff has not passed.

        Args:
            has_pending: whether overrides are to be written to git.
        """
        if self._thread is not None and self._thread.is_alive():
            return
        new = self.lineage.new
        if new not in {None, self._last_new}:
            # What failed on the server before it must not delay the comparison on this one.
            self._last_new, self._not_before = new, 0.0
        is_due = has_pending and self.writes_back
        if not is_due and new is None:
            self.failures.succeeded(Subject.WRITE_BACK)
        has_work = is_due or self.follower is not None or new is not None
        if has_work and time.monotonic() >= self._not_before:
            self._thread = Thread(
                target=self._pass, args=(is_due,), name="remote-worker", daemon=True
            )
            self._thread.start()

    def wait(self, seconds: float) -> None:
        """Wait at most `seconds` for the running pass; the next pass continues an unfinished one."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _pass(self, is_due: bool) -> None:  # noqa: FBT001 - a thread's argument
        is_finished = True
        if self.lineage.new is not None:
            is_finished = self._attempt(Subject.WRITE_BACK, self._compare)
        is_compared = is_finished
        if is_due and is_compared:
            is_finished = self._attempt(Subject.WRITE_BACK, self._write_back)
        if self.follower is not None and is_compared:
            is_finished = self._attempt(Subject.FOLLOW, self._follow) and is_finished
        self._failures_in_a_row = 0 if is_finished else self._failures_in_a_row + 1
        backoff = 0.0 if is_finished else retry_seconds(self._failures_in_a_row)
        self._not_before = time.monotonic() + backoff

    def _attempt(self, subject: Subject, work: Callable[[], bool]) -> bool:
        """Run a piece of work; return whether no part of it needs another try."""
        try:
            return work()
        except LeaseLost:
            return True
        except Exception as error:  # noqa: BLE001 - the thread's last place
            self.failures.failed(subject, error)
            return False

    def _compare(self) -> bool:
        # The server may have lost the apply of this commit too.
        self._finished_commit = None
        self.lineage.compare_with_git()
        self.failures.succeeded(Subject.WRITE_BACK)
        return True

    def _write_back(self) -> bool:
        if not self.writes_back:
            return True
        if read_holder(self.database, WRITE_BACK_LEASE) is not None:
            # Another process, such as a stop, is writing back. This is not a failure.
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
            self.failures.failed(Subject.WRITE_BACK, CannotWriteBack(report.problem))
            return False
        self.failures.succeeded(Subject.WRITE_BACK)
        found = {(each.override, each.outcome): each for each in report.overrides}
        for key in found.keys() - self._reported:
            self.emit(WroteBack(report.remote, report.branch, found[key]))
        self._reported = frozenset(found)
        return not any(outcome in _UNFINISHED for _, outcome in found)

    def _follow(self) -> bool:
        assert self.follower is not None  # noqa: S101 - called only where there is one
        result = self.follower.follow(self._finished_commit)
        self.failures.succeeded(Subject.FOLLOW)
        match result:
            case CommitApplied(commit):
                self._finished_commit, self._refused_commit = commit, None
                self.emit(result)
                # A branch that was rewritten may have lost a block that it had.
                return self._write_back()
            case CommitNotApplied(commit):
                if commit != self._refused_commit:
                    self.emit(result)
                    self._write_back()
                # The reason may go away: a soak ends, or a person reverts drift.
                self._refused_commit = commit
                return False
            case commit:
                self._finished_commit, self._refused_commit = commit, None
        return True


_UNFINISHED: Final = frozenset({Outcome.PENDING, Outcome.PROPOSED})
