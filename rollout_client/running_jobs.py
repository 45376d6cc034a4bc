"""The jobs that run now: those of this process exactly, those of other processes as last read.

A job without an end counts for at most an hour, as in the database. Starts and ends are written in the
background; a job that ends before its start is written is not written at all.
"""

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID, uuid4

from rollout_client import fork
from rollout_client.route import Load, Route

LONGEST_SECONDS: Final = 3600.0
"""A start without an end counts for this time."""


@dataclass(frozen=True, slots=True)
class Start:
    """The start of a job in this process."""

    feature: str
    processor: str
    at: float
    """On the client's clock."""


@dataclass(frozen=True, slots=True)
class RunningChanges:
    """Starts and ends to be written; writing them twice changes nothing."""

    starts: Mapping[UUID, Start]
    ends: Sequence[UUID]


class RunningJobs:
    """A client's running jobs in one process, and the load of processors; safe to use from any thread."""

    def __init__(self, clock: Callable[[], float], on_change: Callable[[], None]) -> None:
        """`on_change` is called after each start and end; it returns at once."""
        self._clock = clock
        self._on_change = on_change
        self.restart_after_fork()

    def restart_after_fork(self) -> None:
        """In a forked child: leave the running jobs to the parent."""
        # Reentrant: a signal handler may interrupt the thread that holds it.
        self._lock = threading.RLock()
        self.reporter = uuid4()
        """The id under which this process reports its jobs."""
        self._others: Mapping[str, Load] | None = None
        self._own: dict[UUID, Start] = {}
        self._counts: Counter[str] = Counter()
        self._unwritten: dict[UUID, Start] = {}
        self._ended: list[UUID] = []
        self._changes: RunningChanges | None = None

    @property
    def has_changes(self) -> bool:
        """Whether a start or an end is not written yet."""
        return bool(self._unwritten or self._ended or self._changes)

    def set_others(self, loads: Mapping[str, Load]) -> None:
        """Use the limits of processors, and the running jobs of other processes."""
        self._others = loads

    def loads(self) -> Mapping[str, Load] | None:
        """Return the load of each processor that has a limit; None if nothing was read yet."""
        with self._lock:
            if self._others is None:
                return None
            self._forget_old()
            return {
                name: Load(each.concurrency, each.running + self._counts[name])
                for name, each in self._others.items()
            }

    def begin(self, feature: str, decide: Callable[[], Route]) -> tuple[Route, UUID]:
        """Decide the route of a job, and count it there: two threads never take the same free place."""
        fork.check()
        with self._lock:
            route = decide()
            self._forget_old()
            id_ = uuid4()
            start = Start(feature, route.processor, self._clock())
            self._own[id_] = start
            self._counts[route.processor] += 1
            if _is_writable(feature) and _is_writable(route.processor):
                self._unwritten[id_] = start
        self._on_change()
        return route, id_

    def end(self, id_: UUID) -> None:
        """End a job of this process; a child does not end a job of its parent."""
        fork.check()
        with self._lock:
            if not self._remove(id_):
                return
            if self._unwritten.pop(id_, None) is None:
                self._ended.append(id_)
        self._on_change()

    def changes(self, most: int) -> RunningChanges:
        """Return changes to be written; the same ones until they are settled."""
        with self._lock:
            if self._changes is None:
                starts = dict(list(self._unwritten.items())[:most])
                self._changes = RunningChanges(starts, self._ended[:most])
                for id_ in starts:
                    del self._unwritten[id_]
                del self._ended[:most]
            return self._changes

    def age(self, start: Start) -> float:
        """Return the seconds since a start."""
        return self._clock() - start.at

    def settle(self) -> None:
        """Forget the changes that `changes` returned: they are written, or cannot be."""
        self._changes = None

    def _forget_old(self) -> None:
        """Forget jobs that started too long ago; the oldest ones are first."""
        earliest = self._clock() - LONGEST_SECONDS
        while self._own:
            id_, start = next(iter(self._own.items()))
            if start.at > earliest:
                return
            self._remove(id_)
            self._unwritten.pop(id_, None)

    def _remove(self, id_: UUID) -> bool:
        start = self._own.pop(id_, None)
        if start is None:
            return False
        self._counts[start.processor] -= 1
        return True


def _is_writable(name: object) -> bool:
    return isinstance(name, str) and name.isprintable()
