"""The client: a service asks, in process, who gets a feature.

A decision reads memory alone. What is in memory is kept up to date in the background, and is trusted for
`max_staleness` after the database last confirmed it; then everything is a no.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from functools import partial
from math import inf
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from uuid import UUID

from reconciler.client.circuits import Circuits, CircuitSettings
from reconciler.client.follower import Follower, Following
from reconciler.client.fork import leave_to_parent, register
from reconciler.client.recorder import EXIT_TIMEOUT_SECONDS, QUEUE_LENGTH, Outcome, Recorder
from reconciler.client.repositories import is_id
from reconciler.client.route import Job, Route, Routing
from reconciler.client.snapshot_file import SnapshotFile
from reconciler.client.snapshot_keeper import Keeper
from reconciler.client.state import Answer, State
from reconciler.client.status import Status
from reconciler.client.store import Current, Store
from reconciler.database.address import DatabaseAddress
from reconciler.targeting.environment import EnvironmentOverride

MAX_STALENESS: Final = timedelta(minutes=5)
POLL_EVERY: Final = timedelta(seconds=5)
START_TIMEOUT: Final = timedelta(seconds=5)
_ANSWERS_KEPT_PER_FEATURE: Final = 20_000
_POLLS_WITHIN_STALENESS: Final = 4
_STOP_TIMEOUT_SECONDS: Final = 5.0
_ROUTING: Final = Routing()
_CIRCUIT: Final = CircuitSettings()

# Where the system has it, the clock that goes on while the machine sleeps: knowledge ages then too.
_CLOCK: Final[Callable[[], float]] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME)
    if hasattr(time, "CLOCK_BOOTTIME")
    else time.monotonic
)


class RolloutClient:
    """Decides from memory; safe to use from any thread, and across a fork.

    Making one connects to nothing. It begins to follow the database when it is entered, started or first
    asked; until the first load is there, the answer is no, and the reason `stale`. A forked child follows
    for itself from its first question on.

    Args:
        database_url: where the database is; role `rollout_worker` is enough.
        features: the features to follow; None is all. Any other is unknown.
        max_staleness: how long an answer counts after the database last confirmed what it is made from.
        poll_every: how often to look where no notification comes, as behind a transaction pooler.
        start_timeout: how long entering waits for the first load.
        routing: where features' jobs go, where that is not `Routing()`.
        circuit: when a feature's circuit opens in this process.
        queue_length: how many outcomes may wait to be recorded.
        snapshot_file: where to keep what is known, for a start without the database.
        on_change: called, one call at a time and in a background thread, with the features whose answers may
            be others now. The next change may be read only when it returns.
        clock: seconds that never go back.

    Raises:
        SetupInvalid: The URL can't be read.
        ValueError: A time is not above zero.
    """

    def __init__(
        self,
        database_url: str,
        features: Iterable[str] | None = None,
        *,
        max_staleness: timedelta = MAX_STALENESS,
        poll_every: timedelta = POLL_EVERY,
        start_timeout: timedelta = START_TIMEOUT,
        routing: Mapping[str, Routing] | None = None,
        circuit: CircuitSettings = _CIRCUIT,
        queue_length: int = QUEUE_LENGTH,
        snapshot_file: Path | None = None,
        on_change: Callable[[frozenset[str]], None] | None = None,
        clock: Callable[[], float] = _CLOCK,
    ) -> None:
        if min(max_staleness, poll_every, start_timeout) <= timedelta(0):
            raise ValueError("max_staleness, poll_every and start_timeout have to be above zero")
        staleness = max_staleness.total_seconds()
        most = staleness / _POLLS_WITHIN_STALENESS
        self._following = Following(
            address=DatabaseAddress.parse(database_url),
            features=None if features is None else frozenset(features),
            poll_every=min(poll_every.total_seconds(), most),
            whole_every=most,
            clock=clock,
        )
        self._clock = clock
        self._start_timeout = start_timeout.total_seconds()
        environment = EnvironmentOverride.parse(os.environ)
        self._store = Store(State(environment=environment), staleness, clock, self._changed)
        self.on_change = on_change
        self._snapshot_path = snapshot_file
        self._keeper: Keeper | None = None
        self._routing = routing or {}
        self._circuits = Circuits(circuit, clock, self._store.set_broken)
        self._recorder = Recorder(self._following.address, queue_length)
        self._lock = threading.Lock()
        self._follower: Follower | None = None
        self._is_closed = False
        register(self)

    def is_eligible(self, repository: str | UUID, feature: str) -> bool:
        """Tell whether a repository, by its id or `owner/name`, gets a feature."""
        current = self._store.current
        if self._clock() < current.deadline:
            try:
                return current.answers[feature][repository]
            except KeyError:
                pass
        return self._decide(current, repository, feature)

    def explain(self, repository: str | UUID, feature: str) -> Answer:
        """Return the answer of `is_eligible` with the rule that gave it."""
        self.start()
        current = self._store.current
        now = self._clock()
        if now >= current.deadline:
            return current.state.explain_stale(feature, now - current.state.confirmed_at)
        found = current.state.repositories.find(repository)
        answer = current.state.explain(found, feature)
        if answer.eligible and not self._admits(current, feature):
            return current.state.explain_open_circuit(found, feature)
        return answer

    def eligible(self, feature: str) -> Iterator[str]:
        """Yield the ids of all repositories that get a feature, by what is known at the first one.

        Ends early where that grows stale meanwhile.
        """
        self.start()
        current = self._store.current
        if feature in current.broken:
            return
        for repository in current.state.repositories:
            if self._clock() >= current.deadline:
                return
            if current.state.is_eligible(repository, feature):
                yield repository.id

    def route(self, repository: str | UUID, job: Job) -> Route:
        """Return the processor that takes a repository's job."""
        routing = self._routing.get(job.feature, _ROUTING)
        return routing.route(job, eligible=self.is_eligible(repository, job.feature))

    def record(
        self,
        repository: str | UUID,
        feature: str,
        processor: str,
        *,
        succeeded: bool,
        seconds: float | None = None,
        error: str | None = None,
    ) -> bool:
        """Take in how a job ended; it is written in the background, and counts in the circuit at once.

        Args:
            repository: whose job it was, by id or `owner/name`.
            feature: the feature that it was routed by.
            processor: what ran it; what the fallback ran does not count in the circuit.
            succeeded: whether it did.
            seconds: how long it took.
            error: what a failed one said; the first 1,000 characters are kept.

        Returns:
            False where it was dropped: the queue is full, or no repository of this name is known, as none is
            before the first load.

        Raises:
            ValueError: The feature's or the processor's name or the time can't be recorded.
        """
        state = self._store.current.state
        found = state.repositories.find(repository)
        id_ = str(repository) if found is None else found.id
        outcome = Outcome(feature, id_, processor, succeeded, seconds, error)
        if feature in state.newest and processor != self._routing.get(feature, _ROUTING).fallback:
            self._circuits.record(feature, succeeded=succeeded)
        if found is None and not is_id(id_):
            # Who only records asks nothing, and would never come to know a name.
            self.start()
            return self._recorder.refuse()
        return self._recorder.put(outcome)

    def status(self) -> Status:
        """Return how the client does."""
        current, now, follower = self._store.current, self._clock(), self._follower
        age = now - current.state.confirmed_at
        return Status(
            age=None if age == inf else timedelta(seconds=age),
            is_stale=now >= current.deadline,
            repositories=len(current.state.repositories),
            features=tuple(sorted(current.state.newest)),
            circuits=self._circuits.not_closed(),
            waiting=self._recorder.waiting,
            dropped=self._recorder.dropped,
            refused=self._recorder.refused,
            failure=(None if follower is None else follower.failure) or self._recorder.failure,
        )

    def start(self) -> None:
        """Begin to follow the database in the background, where that has not begun."""
        if self._follower is None and not self._is_closed:
            with self._lock:
                if self._follower is None and not self._is_closed:
                    self._keep()
                    self._follower = Follower(self._following, self._store)
                    self._follower.start()

    def wait_until_ready(self, timeout: timedelta = START_TIMEOUT) -> bool:
        """Start, and wait until something is known that is not stale; False where that takes longer."""
        self.start()
        return self._store.loaded.wait(timeout.total_seconds())

    def close(self) -> None:
        """Write the outcomes that wait, and stop following. What was known last counts until it is stale."""
        with self._lock:
            self._is_closed = True
            follower, self._follower = self._follower, None
            keeper, self._keeper = self._keeper, None
        self._recorder.close(EXIT_TIMEOUT_SECONDS)
        if follower is not None:
            follower.stop(_STOP_TIMEOUT_SECONDS)
        if keeper is not None:
            keeper.stop(_STOP_TIMEOUT_SECONDS)

    def begin_again(self) -> None:
        """In a forked child: what is known stays, what runs in the parent is the parent's."""
        self._lock = threading.Lock()
        follower, self._follower = self._follower, None
        self._keeper = None
        self._store.begin_again()
        self._circuits.begin_again()
        leave_to_parent(follower, self._recorder.begin_again())
        if follower is not None:
            follower.begin_again()

    def __enter__(self) -> Self:
        self.wait_until_ready(timedelta(seconds=self._start_timeout))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _decide(self, current: Current, repository: str | UUID, feature: str) -> bool:
        """Decide what was not answered before, and keep the answer for a repository that is known."""
        if self._follower is None:
            self.start()
        if self._clock() >= current.deadline:
            return False
        found = current.state.repositories.find(repository)
        eligible = current.state.is_eligible(found, feature)
        if eligible and not self._admits(current, feature):
            return False
        kept = current.answers.get(feature)
        if kept is None:
            return eligible
        if found is None:
            follower = self._follower
            if follower is not None:
                follower.want_unknown()
            return eligible
        if len(kept) >= _ANSWERS_KEPT_PER_FEATURE:
            kept.clear()
        kept[repository] = eligible
        return eligible

    def _keep(self) -> None:
        if self._snapshot_path is not None:
            following = self._following
            file = SnapshotFile(
                self._snapshot_path, following.address.describe(), following.features
            )
            self._keeper = Keeper(file, self._store, following.whole_every, self._clock)
            self._keeper.start()

    def _changed(self, features: frozenset[str]) -> None:
        if self._keeper is not None:
            self._keeper.note_change()
        if self.on_change is not None:
            self.on_change(features)

    def _admits(self, current: Current, feature: str) -> bool:
        return feature not in current.broken or self._circuits.admits(feature)
