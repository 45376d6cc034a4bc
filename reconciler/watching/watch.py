"""The watch: ticks that judge features and roll back failing ones, until it should end."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Final

from reconciler.database.lease import LeaseLost
from reconciler.database.notifications import (
    NOTIFIES_UP_TO_PERCENT,
    PAUSED,
    read_queue_usage,
)
from reconciler.database.transactions import Database, read_only_transaction
from reconciler.database.write_back import read_pending
from reconciler.errors import ReconcilerError, Unavailable
from reconciler.notifications.delivery import Deliverer
from reconciler.notifications.recorder import Recorder
from reconciler.notifications.sender import Sender
from reconciler.operations.automatic_rollback import Judged, Watched, act_on, judge
from reconciler.operations.events import BecameActive, EvidenceRose, SharedOutage, StandsBy, Subject
from reconciler.operations.listeners import Listener, emit_to
from reconciler.planning.health import MetricsSource, Reason, Verdict
from reconciler.planning.watch import lease_seconds, retry_seconds
from reconciler.rollout_file.override import Override
from reconciler.watching.eligible_counts import CountKeeper
from reconciler.watching.evidence import EvidenceKeeper
from reconciler.watching.failures import FailureTracker
from reconciler.watching.followed_branch import FollowedBranch, Follower
from reconciler.watching.leadership import Leadership
from reconciler.watching.lineage import LineageWatch
from reconciler.watching.notifier import Notifier
from reconciler.watching.remote_worker import RemoteWorker
from reconciler.watching.status import Role, WatchedFeature, WatchStatus
from reconciler.watching.upkeep import Upkeep

ENDING_SECONDS: Final = 10.0
"""The end of the watch waits this long for the remote; the next pass continues interrupted work."""
SECONDS_BETWEEN_RECORDED_TICKS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Task:
    """What to watch, and how."""

    database: Database
    file: Path
    """The rollout file in a checkout, which does not change."""
    interval_seconds: float
    features: Sequence[str]
    """Names of features; empty for all."""
    metrics_source: MetricsSource | None
    followed: FollowedBranch | None
    applied_by: str
    keep_metrics: timedelta | None = None
    """How long rows of job metrics are kept; None keeps all."""
    writes_back: bool = True
    """Whether pending overrides are written to git."""
    sender: Sender | None = None
    """Sends notifications; None where none are delivered."""


class Watch:
    """A watcher; `status` may be read from any thread."""

    def __init__(self, task: Task, *listeners: Listener) -> None:
        self._task = task
        recorder = Recorder(task.database)
        self._emit = emit = emit_to(*listeners, recorder.record)
        self._leadership = Leadership(
            task.database,
            lease_seconds(task.interval_seconds, asks_elsewhere=task.metrics_source is not None),
        )
        self.failures = FailureTracker(emit)
        self.status = WatchStatus(task.interval_seconds)
        self._evidence = EvidenceKeeper(
            task.database, self._leadership.lease, self._leadership.confirm
        )
        self._counts = CountKeeper(task.database, self._leadership.confirm, self.failures)
        self._upkeep = Upkeep(task.database, task.keep_metrics, self._leadership.confirm)
        self._lineage = LineageWatch(
            self._leadership.lease,
            task.file,
            task.followed,
            confirm=self._leadership.confirm,
            emit=emit,
        )
        self._remote_worker = RemoteWorker(
            task.database,
            task.file,
            self._follower(),
            self._lineage,
            writes_back=task.writes_back,
            confirm=self._leadership.confirm,
            emit=emit,
            failures=self.failures,
        )

        self._notifier = self._make_notifier(recorder)
        self._recorded_tick = -SECONDS_BETWEEN_RECORDED_TICKS

    def run(self, wait: Callable[[float], bool]) -> None:
        """Tick until `wait` returns true.

        Args:
            wait: waits the given seconds or until the watch should end; returns whether it should.
        """
        try:
            while not wait(self._tick()):
                pass
        finally:
            # First, so that a standby process need not wait for the remote. An error here must not
            # hide the reason for the end; the lease runs out by itself.
            with suppress(ReconcilerError):
                self._leadership.release()
            self._remote_worker.wait(ENDING_SECONDS)
            self._counts.wait(ENDING_SECONDS)
            if self._notifier is not None:
                self._notifier.wait(ENDING_SECONDS)

    def _tick(self) -> float:
        """Run one tick; return the seconds to wait for the next."""
        began = time.monotonic()
        try:
            self._act_or_stand_by()
        except LeaseLost:
            self._stand_by()
        except Exception as error:  # noqa: BLE001 - the last place: the watch goes on
            failures = self.failures.failed(Subject.TICK, error)
            self.status = replace(self.status, failed_ticks=self.status.failed_ticks + 1)
            return retry_seconds(failures)
        self.failures.succeeded(Subject.TICK)
        self.status = replace(
            self.status,
            ticks=self.status.ticks + 1,
            last_tick=time.monotonic(),
            last_tick_at=time.time(),
        )
        return max(0.0, began + self._task.interval_seconds - time.monotonic())

    def _act_or_stand_by(self) -> None:
        if not self._leadership.is_leader():
            self._stand_by()
            self._lineage.look_on_standby()
            return
        if self.status.role is not Role.ACTIVE:
            self.status = replace(self.status, role=Role.ACTIVE)
            self._emit(BecameActive())
        self._act()

    def _stand_by(self) -> None:
        if self.status.role is not Role.STANDBY:
            self._emit(StandsBy(self._leadership.holder or "another watcher"))
        self.status = replace(self.status, role=Role.STANDBY, features=(), pending=0)

    def _act(self) -> None:
        self._lineage.look()
        with read_only_transaction(self._task.database) as connection:
            self._lineage.require_same(connection)
            judged = []
            for found in judge(connection, self._task.features, self._task.metrics_source):
                judged.append(found)
                # No other process becomes the leader in between, with any duration of all of them.
                if not self._leadership.is_leader():
                    raise LeaseLost("another watcher has taken over")
            pending = sum(len(each.pending) for each in read_pending(connection))
            queue_usage = read_queue_usage(connection)
        watched = self._roll_back(judged)
        self._lineage.note(
            {each.found.name: _in_force(each, watched.get(each.found.name)) for each in judged}
        )
        self._report_new_verdicts(judged)
        pending += sum(each.rollback is not None for each in watched.values())
        self.status = replace(
            self.status,
            features=tuple(_after(each, watched.get(each.found.name)) for each in judged),
            pending=pending,
        )
        self._report_queue(queue_usage)
        self._remote_worker.start_pass(has_pending=pending > 0)
        if self._notifier is not None:
            self._notifier.tick()
            self.status = replace(self.status, outbox=self._notifier.counts)
        for each in watched.values():
            if each.failure is not None:
                raise each.failure
        self._evidence.count(judged)
        self._upkeep.run()
        self._counts.start()
        self._record_tick()

    def _record_tick(self) -> None:
        """Record the tick, at most once a second."""
        if time.monotonic() - self._recorded_tick >= SECONDS_BETWEEN_RECORDED_TICKS:
            self._leadership.lease.record_tick()
            self._recorded_tick = time.monotonic()

    def _report_new_verdicts(self, judged: Sequence[Judged]) -> None:
        """Report the features that need a person's attention and did not at the last tick."""
        before = {each.name: each.health.judgement for each in self.status.features}
        for each in judged:
            name, health = each.found.name, each.health
            if before.get(name) == health.judgement:
                continue
            if health.judgement.verdict is Verdict.WARN and health.evidence is not None:
                evidence = health.evidence
                self._emit(EvidenceRose(name, evidence.value, evidence.fail_line, health.sentence))
            elif health.judgement.reason is Reason.SHARED_CAUSE:
                self._emit(SharedOutage(name, health.sentence))

    def _roll_back(self, judged: Sequence[Judged]) -> Mapping[str, Watched]:
        """Roll back the failing features, and enforce the limits that live exceeds."""
        watched = {}
        for each in judged:
            if each.needs_act:
                self._leadership.confirm()
                found = act_on(self._task.database, each, self._emit)
                watched[found.feature] = found
        return watched

    def _report_queue(self, usage: float) -> None:
        if usage > NOTIFIES_UP_TO_PERCENT:
            self.failures.failed(Subject.NOTIFICATIONS, Unavailable(PAUSED))
        else:
            self.failures.succeeded(Subject.NOTIFICATIONS)

    def _make_notifier(self, recorder: Recorder) -> Notifier | None:
        sender = self._task.sender
        if sender is None:
            return None
        deliverer = Deliverer(self._task.database, sender, confirm=self._leadership.confirm)
        return Notifier(deliverer, recorder, self.failures)

    def _follower(self) -> Follower | None:
        if self._task.followed is None:
            return None
        return Follower(
            self._task.database,
            self._task.file,
            self._task.followed,
            applied_by=self._task.applied_by,
            metrics_source=self._task.metrics_source,
            confirm=self._leadership.confirm,
            require_compared=self._lineage.require_compared,
        )


def _in_force(judged: Judged, watched: Watched | None) -> Override | None:
    rollback = None if watched is None else watched.rollback
    return judged.found.standing.in_force if rollback is None else rollback.override


def _after(judged: Judged, watched: Watched | None) -> WatchedFeature:
    is_limited = _in_force(judged, watched) is not None
    return WatchedFeature(judged.found.name, judged.health, is_limited=is_limited)
