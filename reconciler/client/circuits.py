"""Circuits: a feature whose jobs fail in this process is closed to this process at once.

The safeguard judges a feature by everybody's jobs and takes seconds; a circuit judges by this process's
own, at the very job that trips it. Open, it says no; after a rest it lets one decision through to try;
that job's outcome closes it or opens it again.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from math import inf

_LOG = logging.getLogger("reconciler.client")


@dataclass(frozen=True, slots=True)
class CircuitSettings:
    """When a circuit opens, and for how long."""

    max_error_rate: float = 50.0
    """In percent; over it the circuit opens."""
    min_jobs: int = 20
    """Fewer jobs than these say nothing; it judges by the last five times as many at most."""
    window: timedelta = timedelta(minutes=1)
    """How long a job counts."""
    rest: timedelta = timedelta(seconds=30)
    """How long it stays open before a job is let through to try, and between two of those."""


class CircuitState(StrEnum):
    """How a circuit stands."""

    CLOSED = "closed"
    """The feature is decided as the rollout says."""
    OPEN = "open"
    """Nobody gets the feature here."""
    HALF_OPEN = "half_open"
    """One decision was let through, and its job's outcome is awaited."""


@dataclass(slots=True)
class Circuit:
    """One feature's circuit; times are of one clock, in seconds."""

    settings: CircuitSettings
    state: CircuitState = CircuitState.CLOSED
    _outcomes: deque[tuple[float, bool]] = field(init=False)
    _errors: int = 0
    _rested_at: float = -inf
    """When it has rested, and a decision may be let through."""

    def __post_init__(self) -> None:
        self._outcomes = deque(maxlen=5 * max(1, self.settings.min_jobs))

    def record(self, now: float, *, succeeded: bool) -> None:
        """Take in a job's outcome. One that began before an open circuit says nothing."""
        match self.state:
            case CircuitState.CLOSED:
                self._count(now, succeeded=succeeded)
                if self._trips():
                    self._open(now)
            case CircuitState.HALF_OPEN if succeeded:
                self.state = CircuitState.CLOSED
            case CircuitState.HALF_OPEN:
                self._open(now)
            case CircuitState.OPEN:
                pass

    def admits(self, now: float) -> bool:
        """Tell whether a decision may be a yes; where it has rested, this one is let through to try."""
        if self.state is CircuitState.CLOSED:
            return True
        if now < self._rested_at:
            return False
        self.state = CircuitState.HALF_OPEN
        self._rested_at = now + self.settings.rest.total_seconds()
        return True

    def _count(self, now: float, *, succeeded: bool) -> None:
        outcomes = self._outcomes
        oldest = now - self.settings.window.total_seconds()
        while outcomes and (outcomes[0][0] < oldest or len(outcomes) == outcomes.maxlen):
            self._errors -= not outcomes.popleft()[1]
        outcomes.append((now, succeeded))
        self._errors += not succeeded

    def _trips(self) -> bool:
        jobs = len(self._outcomes)
        return (
            jobs >= self.settings.min_jobs
            and self._errors * 100 > self.settings.max_error_rate * jobs
        )

    def _open(self, now: float) -> None:
        self.state = CircuitState.OPEN
        self._rested_at = now + self.settings.rest.total_seconds()
        self._outcomes.clear()
        self._errors = 0


class Circuits:
    """All features' circuits of one client; safe to use from any thread."""

    def __init__(
        self,
        settings: CircuitSettings,
        clock: Callable[[], float],
        on_change: Callable[[Callable[[], Mapping[str, CircuitState]]], None],
    ) -> None:
        """`on_change` is called with `not_closed` when that has others."""
        self._settings = settings
        self._clock = clock
        self._on_change = on_change
        self._lock = threading.Lock()
        self._circuits: dict[str, Circuit] = {}

    def record(self, feature: str, *, succeeded: bool) -> None:
        """Take in the outcome of one of the feature's jobs."""
        with self._lock:
            circuit = self._circuits.setdefault(feature, Circuit(self._settings))
            before = circuit.state
            circuit.record(self._clock(), succeeded=succeeded)
            after = circuit.state
        if (before is CircuitState.CLOSED) != (after is CircuitState.CLOSED):
            # Without the lock, since whoever is told may ask.
            self._on_change(self.not_closed)
        if after is not before:
            _LOG.warning("feature %r: the circuit is %s in this process", feature, after)

    def admits(self, feature: str) -> bool:
        """Tell whether a decision about a feature may be a yes."""
        with self._lock:
            circuit = self._circuits.get(feature)
            return circuit is None or circuit.admits(self._clock())

    def not_closed(self) -> dict[str, CircuitState]:
        """Return the features whose circuit is not closed, and how each stands."""
        with self._lock:
            return {
                name: circuit.state
                for name, circuit in self._circuits.items()
                if circuit.state is not CircuitState.CLOSED
            }

    def begin_again(self) -> None:
        """In a forked child: with a lock of its own; how circuits stand stays."""
        self._lock = threading.Lock()
