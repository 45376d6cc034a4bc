"""The client: a service asks, in its own process, whether a repository gets a feature.

A decision reads memory only. Threads keep the memory up to date. The data counts for
`max_staleness` after the database last confirmed it; after that, every answer is no.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from math import inf
from pathlib import Path
from typing import Final, Self
from uuid import UUID

from rollout_client import fork, hints
from rollout_client.address import address_of
from rollout_client.arguments import Duration, checked_features, seconds_of
from rollout_client.background import Background
from rollout_client.circuits import Circuits, CircuitSettings
from rollout_client.clock import CLOCK
from rollout_client.decider import Decider
from rollout_client.follower import Following
from rollout_client.observer import NO_OBSERVER, Observer
from rollout_client.outcome import Outcome
from rollout_client.recorder import EXIT_TIMEOUT_SECONDS, QUEUE_LENGTH, Recorder
from rollout_client.reported_status import reported_status
from rollout_client.repositories import is_id
from rollout_client.route import NO_LIMITS, Job, Route, Routing
from rollout_client.snapshot import SnapshotFile
from rollout_client.state import Answer, State
from rollout_client.status import Status
from rollout_client.store import Store
from rollout_client.targeting.environment import EnvironmentOverride
from rollout_client.timed_job import timed_job

MAX_STALENESS: Final = timedelta(minutes=5)
POLL_EVERY: Final = timedelta(seconds=5)
START_TIMEOUT: Final = timedelta(seconds=5)
_POLLS_WITHIN_STALENESS: Final = 4
_CHECK_FORK_EVERY_SECONDS: Final = 0.1
_CIRCUIT: Final = CircuitSettings()


class RolloutClient(fork.OfOneProcess):
    """Decides from memory; safe to use from any thread, and across a fork.

    Making a client opens no connection. It begins to follow the database when it is entered, started or
    first asked. Until the end of the first load, the answer is no, with the rule `stale`. A forked child
    follows the database with new connections from its first question on.

    Args:
        database_url: the address of the database, or a function that returns it before each connection;
            the role `rollout_worker` is enough.
        features: the features to follow; None means all. Other features are unknown.
        max_staleness: how long an answer counts after the database last confirmed its data.
        poll_every: the interval of reading without notifications, for example behind a transaction pooler.
        start_timeout: how long entering waits for the first load.
        routing: the processors of features' jobs and their rules, in place of those of the database.
        circuit: the limits that open the circuit of a feature in this process.
        queue_length: how many outcomes may wait to be recorded.
        snapshot_file: a file with the last data, for a start without the database.
        snapshot_group: whether the group of that file is trusted, as with Kubernetes' `fsGroup`.
        on_change: called with the features whose answers may have changed, one call at a time, in a
            separate thread. Changes during a call are in the next call.
        clock: seconds that never decrease.

    Raises:
        SetupInvalid: The URL cannot be read.
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
        clock: Callable[[], float] = CLOCK,
    ) -> None:
        staleness = seconds_of(max_staleness, "max_staleness")
        poll_seconds = seconds_of(poll_every, "poll_every")
        self._start_timeout = seconds_of(start_timeout, "start_timeout")
        if min(staleness, poll_seconds, self._start_timeout) <= 0:
            raise ValueError("max_staleness, poll_every and start_timeout must be above zero")
        most = staleness / _POLLS_WITHIN_STALENESS
        address = address_of(database_url)
        self._recorder = Recorder(address, queue_length, clock)
        self._following = Following(
            address=address,
            features=checked_features(features),
            poll_every=min(poll_seconds, most),
            whole_every=most,
            clock=clock,
            running=self._recorder.running,
        )
        self._clock = clock
        state = State(environment=EnvironmentOverride.parse(os.environ))
        self._store = Store(state, staleness, clock, self._changed)
        self._fast_until = -inf
        """The time until which kept answers count: they are fresh, and this process is not a new child."""
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
        self._circuits = Circuits(circuit, clock, self._store)
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
            wait: how long to wait for a load if there is no fresh data yet.
        """
        if self._clock() < self._fast_until:
            current = self._store.current
            try:
                return current.answers[feature][repository]
            except KeyError:
                if not wait:
                    return self._decider.is_eligible(current, repository, feature)
        return self._decide(repository, feature, wait)

    def explain(self, repository: str | UUID, feature: str) -> Answer:
        """Return the answer of `is_eligible` with the rule that gave it; do not route a job by it."""
        self._start()
        return self._decider.answer(repository, feature, routes_job=False)

    def decide(self, repository: str | UUID, feature: str) -> Answer:
        """Return the answer that routes a job; it may be the probe of an open circuit."""
        self._start()
        answer = self._decider.answer(repository, feature, routes_job=True)
        self._store.observer.decided(repository, feature, answer)
        return answer

    def eligible(self, feature: str) -> Iterator[str]:
        """Yield the ids of all repositories that get a feature, by the data of the first one.

        Ends early if the data becomes stale.
        """
        self._start()
        yield from self._decider.eligible(feature)

    def route(self, repository: str | UUID, job: Job) -> Route:
        """Return the processor that takes a job of a repository."""
        eligible = self.is_eligible(repository, job.feature)  # first: it may load the feature
        state, routing = self._store.current.state, self._routing_of(job.feature)
        loads = self._recorder.running.loads() if routing.spills else NO_LIMITS
        return state.route(repository, job, routing, loads, eligible=eligible)

    def job(self, repository: str | UUID, job: Job) -> AbstractContextManager[Route]:
        """Route a job and record its start, and at the end of `with` its outcome; an exception is a failure.

        From its start to its end the job counts for the `concurrency` of its processor.
        """
        return timed_job(self, self._recorder.running, repository, job)

    def record(
        self,
        repository: str | UUID,
        feature: str | Job,
        processor: str,
        *,
        succeeded: bool,
        seconds: Duration | None = None,
        error: object = None,
        wait: bool = False,
    ) -> bool:
        """Record the result of a job; it is written within 200 ms, and counts in the circuit at once.

        A signal handler may call it, without `wait`.

        Args:
            repository: the job's repository, by id or `owner/name`.
            feature: the feature that routed the job, or the `Job`, with its kind and size.
            processor: the processor that ran it; jobs on the fallback do not count in the circuit.
            succeeded: whether it succeeded: a bool, or a value that equals 0 or 1.
            seconds: its duration.
            error: the error of a failed job; the first 1,000 characters of its text are kept.
            wait: whether to write it now, and to wait for that for up to five seconds.

        Returns:
            False if it was dropped: the queue is full, the client is closed, or the repository's name is
            unknown, as before the first load. With `wait` also if the database did not settle it in time;
            it then stays in the queue.

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
        is_known = found is not None or is_id(id_)
        if not is_known:
            # A client that only records gets no question, and so would not learn a name.
            self._start()
        is_taken = self._recorder.put(outcome) if is_known else self._recorder.refuse()
        self._store.observer.recorded(outcome, is_taken=is_taken)
        return is_taken and (not wait or self._recorder.flush(EXIT_TIMEOUT_SECONDS))

    def flush(self, timeout: Duration = EXIT_TIMEOUT_SECONDS) -> bool:
        """Write the waiting outcomes; return whether the database settled all of them in time."""
        fork.check()
        return self._recorder.flush(seconds_of(timeout, "timeout"))

    def status(self) -> Status:
        """Return the state of the client."""
        fork.check()
        return reported_status(
            self._store, self._circuits, self._recorder, self._background, self._clock()
        )

    def subscribe(self, listener: Callable[[frozenset[str]], None]) -> None:
        """Call a listener with the features whose answers may have changed, in the thread that saw it.

        The listener returns at once and takes only reentrant locks; other handlers belong to `on_change`.
        """
        self._listeners += (listener,)

    def unsubscribe(self, listener: Callable[[frozenset[str]], None]) -> None:
        """Stop calling a listener."""
        self._listeners = tuple(each for each in self._listeners if each != listener)

    def observe(self, observer: Observer) -> None:
        """Call an observer from now on, instead of the one before; a decision then takes microseconds."""
        self._store.observer = observer
        self._fast_until = -inf
        observer.watch(self.status)

    def start(self) -> None:
        """Begin to follow the database in the background, if that has not begun.

        Raises:
            RuntimeError: The client is closed.
        """
        fork.check()
        if self._background.is_stopped:
            raise RuntimeError("the client is closed, and does not start again; make a new one")
        self._background.start()

    def wait_until_ready(self, timeout: Duration = START_TIMEOUT) -> bool:
        """Start, and wait for data that is not stale; return False if that takes longer than `timeout`.

        Raises:
            RuntimeError: The client is closed.
        """
        seconds = seconds_of(timeout, "timeout")
        self.start()
        return self._background.wait(seconds)

    def close(self, timeout: Duration = EXIT_TIMEOUT_SECONDS) -> None:
        """Write the waiting outcomes, and stop following, within this time; the last data stays."""
        fork.check()
        deadline = time.monotonic() + seconds_of(timeout, "timeout")
        self._recorder.close(max(0.0, deadline - time.monotonic()))
        self._background.stop(max(0.0, deadline - time.monotonic()))

    def restart_after_fork(self) -> None:
        """In a forked child: keep the data; leave threads and connections to the parent."""
        self._fast_until = -inf
        self._store.restart_after_fork()
        self._circuits.restart_after_fork()
        self._recorder.restart_after_fork()
        self._background.restart_after_fork()

    begin_again = restart_after_fork  # its name in the first release

    def __enter__(self) -> Self:
        self.start()
        self._background.wait(self._start_timeout)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _decide(self, repository: str | UUID, feature: str, wait: Duration) -> bool:
        """Decide after a check of the age of the data and of a fork; other decisions trust the last check."""
        fork.check()
        if not self._background.is_running:
            self._background.start()
        if wait:
            self._background.wait(seconds_of(wait, "wait"))
        if self._store.observer is not NO_OBSERVER:
            return self.decide(repository, feature).eligible
        current, now = self._store.current, self._clock()
        if now >= current.deadline:
            self._decider.note_stale(current)
            return False
        self._fast_until = min(now + _CHECK_FORK_EVERY_SECONDS, current.deadline)
        return self._decider.is_eligible(current, repository, feature)

    def _routing_of(self, feature: str) -> Routing:
        return self._routing.get(feature) or self._store.current.state.routing_of(feature)

    def _count_in_circuit(self, outcome: Outcome) -> None:
        fallback = self._routing_of(outcome.feature).fallback
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
