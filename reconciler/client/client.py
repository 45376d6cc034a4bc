"""The client: a service asks, in its own process, whether a repository gets a feature.

A decision reads memory alone. What is in memory is kept up to date in the background, and is used for
`max_staleness` after the database last confirmed it; then every answer is a no.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from functools import partial
from math import inf
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from uuid import UUID

from reconciler.client import fork, hints
from reconciler.client.address import address_of
from reconciler.client.arguments import Duration, checked_features, seconds_of
from reconciler.client.background import Background
from reconciler.client.circuits import Circuits, CircuitSettings
from reconciler.client.decider import Decider
from reconciler.client.follower import Following
from reconciler.client.outcome import Outcome
from reconciler.client.recorder import EXIT_TIMEOUT_SECONDS, QUEUE_LENGTH, Recorder
from reconciler.client.repositories import is_id
from reconciler.client.route import Job, Route, Routing
from reconciler.client.snapshot import SnapshotFile
from reconciler.client.state import Answer, State
from reconciler.client.status import Status
from reconciler.client.store import Store
from reconciler.targeting.environment import EnvironmentOverride

MAX_STALENESS: Final = timedelta(minutes=5)
POLL_EVERY: Final = timedelta(seconds=5)
START_TIMEOUT: Final = timedelta(seconds=5)
_POLLS_WITHIN_STALENESS: Final = 4
_CHECK_FORK_EVERY_SECONDS: Final = 0.1
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

    To make one connects to nothing. It begins to follow the database when it is entered, started or first
    asked; until the first load has ended, the answer is no, with the rule `stale`. A forked child follows
    the database with connections of its own from its first question on.

    Args:
        database_url: where the database is, or a function that returns it, which is asked before each
            connection; role `rollout_worker` is enough.
        features: the features to follow; None is all. Any other is unknown.
        max_staleness: how long an answer counts after the database last confirmed what it is made from.
        poll_every: how often to look where no notification comes, as behind a transaction pooler.
        start_timeout: how long entering waits for the first load.
        routing: where the jobs of features go, where that is not `Routing()`.
        circuit: when the circuit of a feature opens in this process.
        queue_length: how many outcomes may wait to be recorded.
        snapshot_file: where to keep what is known, for a start without the database.
        snapshot_group: whether the group of that file is trusted with it, as with Kubernetes' `fsGroup`.
        on_change: called with the features whose answers may have changed, one call at a time, in a thread
            of its own. Changes that come while it runs are in its next call.
        clock: seconds that never go back.

    Raises:
        SetupInvalid: The URL can't be read.
        ValueError: A time is not above zero, or an argument is of another type.
    """

    def __init__(
        self,
        database_url: str | Callable[[], str],
        features: Iterable[str] | None = None,
        *,
        max_staleness: Duration = MAX_STALENESS,
        poll_every: Duration = POLL_EVERY,
        start_timeout: Duration = START_TIMEOUT,
        routing: Mapping[str, Routing] | None = None,
        circuit: CircuitSettings = _CIRCUIT,
        queue_length: int = QUEUE_LENGTH,
        snapshot_file: Path | None = None,
        snapshot_group: bool = False,
        on_change: Callable[[frozenset[str]], None] | None = None,
        clock: Callable[[], float] = _CLOCK,
    ) -> None:
        staleness = seconds_of(max_staleness, "max_staleness")
        poll_seconds = seconds_of(poll_every, "poll_every")
        self._start_timeout = seconds_of(start_timeout, "start_timeout")
        if min(staleness, poll_seconds, self._start_timeout) <= 0:
            raise ValueError("max_staleness, poll_every and start_timeout have to be above zero")
        most = staleness / _POLLS_WITHIN_STALENESS
        self._following = Following(
            address=address_of(database_url),
            features=checked_features(features),
            poll_every=min(poll_seconds, most),
            whole_every=most,
            clock=clock,
        )
        self._clock = clock
        environment = EnvironmentOverride.parse(os.environ)
        self._store = Store(State(environment=environment), staleness, clock, self._changed)
        self._fast_until = -inf
        """Until when kept answers count: not stale, and the process was just seen to be the same."""
        self.on_change = on_change
        self._listeners: tuple[Callable[[frozenset[str]], None], ...] = ()
        self._background = Background(
            self._following,
            self._store,
            None
            if snapshot_file is None
            else SnapshotFile(
                Path(snapshot_file),
                self._following.address.describe(),
                self._following.features,
                snapshot_group,
            ),
            self._call_on_change,
        )
        self._routing = routing or {}
        self._circuits = Circuits(circuit, clock, self._store.set_broken)
        self._recorder = Recorder(self._following.address, queue_length)
        self._decider = Decider(
            self._store,
            self._circuits,
            self._following.features,
            clock,
            self._background.want_unknown,
        )
        hints.note_client(self._following.address.describe())
        fork.register(self)

    def is_eligible(self, repository: str | UUID, feature: str, *, wait: Duration = 0) -> bool:
        """Return whether a repository, by its id or `owner/name`, gets a feature.

        Args:
            repository: its id or `owner/name`, in any case.
            feature: the name of the feature.
            wait: how long to wait for a load where nothing fresh is known yet.
        """
        if self._clock() < self._fast_until:
            try:
                return self._store.current.answers[feature][repository]
            except KeyError:
                pass
        return self._decide(repository, feature, wait)

    def explain(self, repository: str | UUID, feature: str) -> Answer:
        """Return the answer of `is_eligible` with the rule that gave it; no job may follow from it."""
        self._start()
        return self._decider.answer(repository, feature, routes_job=False)

    def decide(self, repository: str | UUID, feature: str) -> Answer:
        """Return the answer by which a job is routed; after a rest it may be an open circuit's probe."""
        self._start()
        return self._decider.answer(repository, feature, routes_job=True)

    def eligible(self, feature: str) -> Iterator[str]:
        """Yield the ids of all repositories that get a feature, by what is known at the first one.

        Ends early where that becomes stale meanwhile.
        """
        self._start()
        yield from self._decider.eligible(feature)

    def route(self, repository: str | UUID, job: Job) -> Route:
        """Return the processor that takes a job of a repository."""
        routing = self._routing.get(job.feature, _ROUTING)
        return routing.route(job, eligible=self.is_eligible(repository, job.feature))

    def record(
        self,
        repository: str | UUID,
        feature: str,
        processor: str,
        *,
        succeeded: bool,
        seconds: Duration | None = None,
        error: object = None,
        wait: bool = False,
    ) -> bool:
        """Take in how a job ended; it is written within 200 ms, and counts in the circuit at once.

        A signal handler may call it, without `wait`.

        Args:
            repository: whose job it was, by id or `owner/name`.
            feature: the feature that it was routed by.
            processor: what ran it; what the fallback ran does not count in the circuit.
            succeeded: whether it did: a bool, or what equals 0 or 1.
            seconds: how long it took.
            error: the error of a failed job; the first 1,000 characters of its text are kept.
            wait: whether to write it now, and to wait for that for up to five seconds.

        Returns:
            False where it was dropped: the queue is full, the client is closed, or no repository of this name
            is known, as before the first load. With `wait` also where the database did not settle it in
            time; it stays in the queue then.

        Raises:
            ValueError: The name of the feature or of the processor, the time or `succeeded` cannot be
                recorded.
        """
        fork.check()
        found = self._store.current.state.repositories.find(repository)
        id_ = str(repository) if found is None else found.id
        outcome = Outcome.checked(
            feature, id_, processor, succeeded=succeeded, seconds=seconds, error=error
        )
        self._count_in_circuit(outcome)
        if found is None and not is_id(id_):
            # A client that only records is never asked, and would not come to know a name.
            self._start()
            return self._recorder.refuse()
        return self._recorder.put(outcome) and (
            not wait or self._recorder.flush(EXIT_TIMEOUT_SECONDS)
        )

    def flush(self, timeout: Duration = EXIT_TIMEOUT_SECONDS) -> bool:
        """Write the outcomes that wait now; return whether the database settled all of them in time."""
        fork.check()
        return self._recorder.flush(seconds_of(timeout, "timeout"))

    def status(self) -> Status:
        """Return the state of the client."""
        fork.check()
        current, now = self._store.current, self._clock()
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
            failure=self._background.failure or self._recorder.failure,
            lost=self._recorder.lost,
        )

    def subscribe(self, listener: Callable[[frozenset[str]], None]) -> None:
        """Call a listener with the features whose answers may have changed, in the thread that saw it.

        It returns at once, and takes no lock that is not reentrant; `on_change` is for all others.
        """
        self._listeners += (listener,)

    def unsubscribe(self, listener: Callable[[frozenset[str]], None]) -> None:
        """Call a listener no more."""
        self._listeners = tuple(each for each in self._listeners if each != listener)

    def start(self) -> None:
        """Begin to follow the database in the background, where that has not begun.

        Raises:
            RuntimeError: The client is closed.
        """
        fork.check()
        if self._background.is_stopped:
            raise RuntimeError("the client is closed, and does not start again; make a new one")
        self._background.start()

    def wait_until_ready(self, timeout: Duration = START_TIMEOUT) -> bool:
        """Start, and wait until something is known that is not stale; return False where that takes longer.

        Raises:
            RuntimeError: The client is closed.
        """
        seconds = seconds_of(timeout, "timeout")
        self.start()
        return self._background.wait(seconds)

    def close(self, timeout: Duration = EXIT_TIMEOUT_SECONDS) -> None:
        """Write the outcomes that wait, and stop following, for at most so long.

        What was known last counts until it is stale.
        """
        fork.check()
        deadline = time.monotonic() + seconds_of(timeout, "timeout")
        self._recorder.close(max(0.0, deadline - time.monotonic()))
        self._background.stop(max(0.0, deadline - time.monotonic()))

    def restart_after_fork(self) -> None:
        """In a forked child: what is known stays; threads and connections are the parent's."""
        self._fast_until = -inf
        self._store.restart_after_fork()
        self._circuits.restart_after_fork()
        self._recorder.restart_after_fork()
        self._background.restart_after_fork()

    begin_again = restart_after_fork
    """Its name in the first release."""

    def __enter__(self) -> Self:
        self.start()
        self._background.wait(self._start_timeout)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _decide(self, repository: str | UUID, feature: str, wait: Duration) -> bool:
        """Decide what was not answered before, and keep the answer for a repository that is known."""
        fork.check()
        if not self._background.is_running:
            self._background.start()
        if wait:
            self._background.wait(seconds_of(wait, "wait"))
        current, now = self._store.current, self._clock()
        if now >= current.deadline:
            self._decider.note_stale(current)
            return False
        self._fast_until = min(now + _CHECK_FORK_EVERY_SECONDS, current.deadline)
        return self._decider.is_eligible(current, repository, feature)

    def _count_in_circuit(self, outcome: Outcome) -> None:
        fallback = self._routing.get(outcome.feature, _ROUTING).fallback
        if outcome.feature in self._store.current.state.newest and outcome.processor != fallback:
            self._circuits.record(outcome)

    def _start(self) -> None:
        fork.check()
        self._background.start()

    def _changed(self, features: frozenset[str]) -> None:
        for listener in self._listeners:
            listener(features)
        self._background.note_change(features, is_handled=self.on_change is not None)

    def _call_on_change(self, features: frozenset[str]) -> None:
        handler = self.on_change
        if handler is not None:
            handler(features)
