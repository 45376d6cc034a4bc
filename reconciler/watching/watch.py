"""The watch itself: ticks that judge and roll back, one after the other, until it is asked to end."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from reconciler.database.lease import LeaseLost
from reconciler.database.transactions import Database, read_only_transaction
from reconciler.database.write_back import read_pending
from reconciler.errors import ReconcilerError
from reconciler.operations.events import BecameActive, RolledBack, StandsBy, Subject, Tell
from reconciler.operations.safeguard import Judged, Watched, judge, roll_back_failing
from reconciler.planning.health import NO_JOBS, MetricsSource
from reconciler.planning.watch import lease_seconds, pause_seconds
from reconciler.watching.carrier import Carrier
from reconciler.watching.followed_branch import FollowedBranch, Follower
from reconciler.watching.leadership import Leadership
from reconciler.watching.status import Role, WatchedFeature, WatchStatus
from reconciler.watching.troubles import Troubles

ENDING_SECONDS: Final = 10.0
"""So long an end waits for what is being said to a remote; what is cut off is found by the next pass."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is watched, and how."""

    database: Database
    file: Path
    """The rollout file in a checkout, which stays as it is."""
    interval_seconds: float
    features: Sequence[str]
    """All where none is named."""
    metrics_source: MetricsSource | None
    followed: FollowedBranch | None
    applied_by: str


class Watch:
    """A watcher; `status` may be read from any thread."""

    def __init__(self, task: Task, tell: Tell) -> None:
        self._task = task
        self._tell = tell
        self._turn = Leadership(
            task.database,
            lease_seconds(task.interval_seconds, asks_elsewhere=task.metrics_source is not None),
        )
        self.troubles = Troubles(tell)
        self.status = WatchStatus(task.interval_seconds)
        self._carrier = Carrier(
            task.database,
            task.file,
            self._follower(),
            confirm=self._turn.confirm,
            tell=tell,
            troubles=self.troubles,
        )

    def run(self, wait: Callable[[float], bool]) -> None:
        """Tick until it is to end.

        Args:
            wait: waits so many seconds, or until it is to end; tells whether it is.
        """
        try:
            while not wait(self._tick()):
                pass
        finally:
            # First of all: who stands by need not wait for a remote. It would run out anyway, and what
            # ends the watch is not to be hidden.
            with suppress(ReconcilerError):
                self._turn.release()
            self._carrier.wait(ENDING_SECONDS)

    def _tick(self) -> float:
        """Do what one tick does; return the seconds to wait for the next."""
        began = time.monotonic()
        try:
            self._act_or_stand_by()
        except LeaseLost:
            self._stand_by()
        except Exception as error:  # noqa: BLE001 - the last place: a resident goes on
            failures = self.troubles.failed(Subject.TICK, error)
            self.status = replace(self.status, failed_ticks=self.status.failed_ticks + 1)
            return pause_seconds(failures)
        self.troubles.succeeded(Subject.TICK)
        self.status = replace(
            self.status,
            ticks=self.status.ticks + 1,
            last_tick=time.monotonic(),
            last_tick_at=time.time(),
        )
        return max(0.0, began + self._task.interval_seconds - time.monotonic())

    def _act_or_stand_by(self) -> None:
        if not self._turn.is_ours():
            self._stand_by()
            return
        if self.status.role is not Role.ACTIVE:
            self.status = replace(self.status, role=Role.ACTIVE)
            self._tell(BecameActive())
        self._act()

    def _stand_by(self) -> None:
        if self.status.role is not Role.STANDBY:
            self._tell(StandsBy(self._turn.holder or "another watcher"))
        self.status = replace(self.status, role=Role.STANDBY, features=(), pending=0)

    def _act(self) -> None:
        with read_only_transaction(self._task.database) as connection:
            judged = []
            for found in judge(connection, self._task.features, self._task.metrics_source):
                judged.append(found)
                # However long all of them take, nobody else comes in between.
                if not self._turn.is_ours():
                    raise LeaseLost("another watcher has taken over")
            pending = sum(len(each.pending) for each in read_pending(connection))
        watched = self._roll_back(judged)
        pending += sum(each.rollback is not None for each in watched.values())
        self.status = replace(
            self.status,
            features=tuple(_after(each, watched.get(each.found.name)) for each in judged),
            pending=pending,
        )
        self._carrier.offer(has_pending=pending > 0)
        for each in watched.values():
            if each.failure is not None:
                raise each.failure

    def _roll_back(self, judged: Sequence[Judged]) -> Mapping[str, Watched]:
        """Roll back what fails."""
        watched = {}
        for each in judged:
            if each.limit is not None:
                self._turn.confirm()
                found = roll_back_failing(self._task.database, each)
                watched[found.feature] = found
                self._tell_rollback(found)
        return watched

    def _tell_rollback(self, found: Watched) -> None:
        if found.rollback is None or found.rollback.act is None:
            return
        total = NO_JOBS if found.health.metrics is None else found.health.metrics.total
        rate = None if total.error_rate is None else float(total.error_rate)
        self._tell(RolledBack(found.rollback, rate, total.jobs, total.errors))
        count = self.status.rollbacks.get(found.feature, 0) + 1
        counts = MappingProxyType({**self.status.rollbacks, found.feature: count})
        self.status = replace(self.status, rollbacks=counts)

    def _follower(self) -> Follower | None:
        if self._task.followed is None:
            return None
        return Follower(
            self._task.database,
            self._task.file,
            self._task.followed,
            applied_by=self._task.applied_by,
            metrics_source=self._task.metrics_source,
            confirm=self._turn.confirm,
        )


def _after(judged: Judged, watched: Watched | None) -> WatchedFeature:
    rollback = None if watched is None else watched.rollback
    in_force = judged.found.standing.in_force if rollback is None else rollback.override
    return WatchedFeature(judged.found.name, judged.health, is_limited=in_force is not None)
