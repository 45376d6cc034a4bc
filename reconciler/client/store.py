"""The one place where a client's state changes, and the answers kept with it.

Whoever writes takes the lock; whoever reads takes `current`, one reference to values that belong together.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from math import inf
from uuid import UUID

from reconciler.client.fork import renewed
from reconciler.client.reads import Features
from reconciler.client.repositories import Repositories
from reconciler.client.state import State
from reconciler.targeting.environment import EnvironmentOverride

_LOG = logging.getLogger("reconciler.client")

Answers = dict[str | UUID, bool]


@dataclass(frozen=True, slots=True, eq=False)
class Current:
    """A state, until when it may be used, and the answers already given from it."""

    state: State
    deadline: float
    """On the client's clock; from then on the state is stale."""
    answers: Mapping[str, Answers]
    """By feature. One that isn't here is decided each time: unknown, or its circuit is not closed."""
    broken: frozenset[str] = frozenset()
    """Features whose circuit is not closed."""


class Store:
    """Holds the current state; safe to use from any thread."""

    def __init__(
        self,
        state: State,
        max_staleness: float,
        clock: Callable[[], float],
        on_change: Callable[[frozenset[str]], None],
    ) -> None:
        self._lock = threading.Lock()
        self._telling = threading.RLock()
        self._max_staleness = max_staleness
        self._clock = clock
        self._on_change = on_change
        self._broken: frozenset[str] = frozenset()
        self.current = self._next(state, None)
        self.loaded = threading.Event()
        """Set once something is known that is not stale."""

    def begin_again(self) -> None:
        """In a forked child: with locks of its own, and no answer that nobody looks after."""
        self._lock = threading.Lock()
        self._telling = threading.RLock()
        self.current = replace(self.current, answers={})
        self.loaded = renewed(self.loaded)

    def set_newest(self, features: Features, at: float) -> None:
        """Take in features read by themselves at a time."""
        self._change(lambda state: state.with_newest(features, at))

    def set_whole(self, features: Features, repositories: Repositories, at: float) -> None:
        """Take in everything, read as of one moment."""
        self._change(lambda state: state.with_whole(features, repositories, at))

    def set_kept(self, kept: State) -> None:
        """Take in what was kept for a start without the database, unless that was faster."""

        def take(state: State) -> State:
            if state.newest_at > -inf or state.whole_at > -inf:
                return state
            return replace(kept, environment=state.environment)

        self._change(take)

    def set_environment(self, environment: EnvironmentOverride) -> None:
        """Take in what the process's environment says now."""
        if environment != self.current.state.environment:
            self._change(lambda state: replace(state, environment=environment))

    def set_broken(self, ask: Callable[[], Mapping[str, object]]) -> None:
        """Ask which features' circuits are not closed now, and keep no answers for those.

        It is told from a thread of its own: whoever records a job waits for nobody who is told.
        """
        with self._lock:
            broken = frozenset(ask())
            changed = self._broken ^ broken
            self._broken = broken
            self.current = self._next(self.current.state, self.current)
        # When the process ends, no thread begins any more.
        with suppress(RuntimeError):
            threading.Thread(
                target=self._tell, args=(changed,), name="rollout-circuit", daemon=True
            ).start()

    def _change(self, change: Callable[[State], State]) -> None:
        with self._lock:
            before = self.current
            state = change(before.state)
            self.current = self._next(state, before)
        if self._clock() < self.current.deadline:
            self.loaded.set()
        self._tell(_changed_features(before.state, state))

    def _tell(self, changed: frozenset[str]) -> None:
        """One at a time: whoever asks when he is told gets the newest answer last."""
        if changed:
            with self._telling:
                try:
                    self._on_change(changed)
                except Exception:  # noqa: BLE001 - it is the service's, and following goes on
                    _LOG.exception("on_change failed")

    def _next(self, state: State, before: Current | None) -> Current:
        answers: dict[str, Answers] = {}
        for name in state.newest:
            if name in self._broken:
                continue
            kept = None if before is None else before.answers.get(name)
            if kept is None or before is None or not _decides_alike(name, before.state, state):
                kept = {}
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
    """The features whose answers may be others now."""
    names = before.newest.keys() | after.newest.keys()
    return frozenset(name for name in names if not _decides_alike(name, before, after))
