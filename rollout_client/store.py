"""The one place where a client's state changes, with the kept answers.

A writer takes the lock; a reader takes `current`, one reference to values that belong together.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import inf

from rollout_client.answers import Answers
from rollout_client.circuits import CircuitState
from rollout_client.observer import NO_OBSERVER, Observer
from rollout_client.reads import Features
from rollout_client.repositories import Repositories
from rollout_client.state import State
from rollout_client.targeting.environment import EnvironmentOverride


@dataclass(frozen=True, slots=True, eq=False)
class Current:
    """A state, the time until which it may be used, and the answers that follow from it."""

    state: State
    deadline: float
    """On the client's clock; from then on the state is stale. It never decreases."""
    answers: Mapping[str, Answers]
    """By feature. A missing feature is decided each time: it is unknown, or its circuit is not closed."""
    broken: frozenset[str] = frozenset()
    """Features with a circuit that is not closed."""


class Store:
    """Holds the current state; safe to use from any thread."""

    def __init__(
        self,
        state: State,
        max_staleness: float,
        clock: Callable[[], float],
        on_change: Callable[[frozenset[str]], None],
    ) -> None:
        """`on_change` is called with the features whose answers may have changed; it returns at once."""
        # Reentrant: a signal handler may open a circuit.
        self._lock = threading.RLock()
        self._max_staleness = max_staleness
        self._clock = clock
        self._on_change = on_change
        self._broken: frozenset[str] = frozenset()
        self.observer: Observer = NO_OBSERVER
        self.current = self._next(state, None)
        self._loaded = threading.Event()

    @property
    def is_stale(self) -> bool:
        """Whether the database has not confirmed the data for too long."""
        return self._clock() >= self.current.deadline

    def wait_until_fresh(self, timeout: float) -> bool:
        """Wait for data that is not stale; return False if that takes longer than `timeout`."""
        if not self.is_stale:
            return True
        # A new event, made by the waiting thread. The old one is set since an earlier load, and if
        # gevent patches a process late, it is not of gevent's classes. In this order no load
        # between the two is missed.
        loaded = self._loaded = threading.Event()
        return not self.is_stale or (loaded.wait(timeout) and not self.is_stale)

    def restart_after_fork(self) -> None:
        """In a forked child: use new locks, and drop kept answers, which no thread would keep up to date."""
        self._lock = threading.RLock()
        self.current = replace(self.current, answers={})
        self._loaded = threading.Event()

    def set_newest(self, features: Features, at: float) -> None:
        """Use features that were read without repositories."""
        self._change(lambda state: state.with_newest(features, at))

    def set_whole(self, features: Features, repositories: Repositories, at: float) -> None:
        """Use a full read of one moment."""
        self._change(lambda state: state.with_whole(features, repositories, at))

    def set_kept(self, kept: State) -> None:
        """Use the data stored for a start without the database, unless the database was faster."""

        def take(state: State) -> State:
            if state.newest_at > -inf or state.whole_at > -inf:
                return state
            return replace(kept, environment=state.environment)

        self._change(take)

    def set_environment(self, environment: EnvironmentOverride) -> None:
        """Use the present limits of the process's environment."""
        if environment != self.current.state.environment:
            self._change(lambda state: replace(state, environment=environment))

    def set_broken(self, ask: Callable[[], Mapping[str, object]]) -> None:
        """Read which features' circuits are not closed now, and drop the kept answers for those."""
        with self._lock:
            broken = frozenset(ask())
            changed = self._broken ^ broken
            self._broken = broken
            self.current = self._next(self.current.state, self.current)
        if changed:
            self._on_change(changed)

    def note_circuit(self, feature: str, state: CircuitState) -> None:
        """Report the new state of a feature's circuit to the observer."""
        self.observer.circuit_changed(feature, state)

    def _change(self, change: Callable[[State], State]) -> None:
        with self._lock:
            before = self.current
            state = change(before.state)
            self.current = self._next(state, before)
        if not self.is_stale:
            self._loaded.set()
        changed = _changed_features(before.state, state)
        if changed:
            self._on_change(changed)

    def _next(self, state: State, before: Current | None) -> Current:
        answers: dict[str, Answers] = {}
        for name in state.newest:
            if name in self._broken:
                continue
            kept = None if before is None else before.answers.get(name)
            if kept is None or before is None or not _decides_alike(name, before.state, state):
                kept = Answers(state, name)
            answers[name] = kept
        return Current(state, state.confirmed_at + self._max_staleness, answers, self._broken)


def _decides_alike(feature: str, one: State, other: State) -> bool:
    return (
        one.newest.get(feature) is other.newest.get(feature)
        and one.whole.get(feature) is other.whole.get(feature)
        and one.repositories.pages is other.repositories.pages
        and one.environment is other.environment
    )


def _changed_features(before: State, after: State) -> frozenset[str]:
    """Return the features whose answers may have changed."""
    names = before.newest.keys() | after.newest.keys()
    return frozenset(name for name in names if not _decides_alike(name, before, after))
