"""Circuits: if a feature's jobs fail in this process, the feature is off in this process at once.

The safeguard judges a feature by the jobs of all processes and takes seconds. A circuit judges by
the jobs of its own process, and opens at the job that reaches its limit. While it is open, the
answer is no. After a rest, one decision is passed as a probe; only the outcome of its job closes
the circuit or opens it again.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from math import inf
from typing import Protocol

from rollout_client.outcome import Outcome

_LOG = logging.getLogger("reconciler.client")


@dataclass(frozen=True, slots=True)
class CircuitSettings:
    """The limits that open a circuit, and its rest."""

    max_error_rate: float = 50.0
    """In percent; the circuit opens above it."""
    min_jobs: int = 20
    """With fewer jobs the rate is not judged; at most five times as many of the last jobs are judged."""
    window: timedelta = timedelta(minutes=1)
    """How long a job counts."""
    rest: timedelta = timedelta(seconds=30)
    """The rest of an open circuit before a probe, and between two probes."""
    max_failures_in_a_row: int = 5
    """This number of failures in a row opens it, with any number of jobs; 0 means no limit."""


class CircuitState(StrEnum):
    """The state of a circuit."""

    CLOSED = "closed"
    """The rollout alone decides about the feature."""
    OPEN = "open"
    """The feature is off in this process."""
    HALF_OPEN = "half_open"
    """One decision was passed, and the outcome of its job is not known yet."""


@dataclass(slots=True)
class Circuit:
    """The circuit of one feature; all times are seconds of one clock."""

    settings: CircuitSettings
    state: CircuitState = CircuitState.CLOSED
    _outcomes: deque[tuple[float, bool]] = field(init=False)
    _errors: int = 0
    _failures_in_a_row: int = 0
    _probe: str | None = None
    """The repository of the probe's job."""
    _opened_at: float = -inf
    _rested_at: float = -inf
    """The time from which a decision may be passed."""

    def __post_init__(self) -> None:
        self._outcomes = deque(maxlen=5 * max(1, self.settings.min_jobs))

    def record(
        self, now: float, repository_id: str, *, succeeded: bool, seconds: float | None = None
    ) -> None:
        """Count the outcome of a job. While the circuit is not closed, only the probe's outcome counts."""
        match self.state:
            case CircuitState.CLOSED:
                self._count(now, succeeded=succeeded)
                if self._trips():
                    self._open(now)
            case CircuitState.HALF_OPEN if self._is_probe(now, repository_id, seconds):
                if succeeded:
                    self.state = CircuitState.CLOSED
                else:
                    self._open(now)
            case CircuitState.HALF_OPEN | CircuitState.OPEN:
                pass

    def admits(self, now: float, repository_id: str) -> bool:
        """Return whether a decision may be a yes; after a rest this decision becomes the probe."""
        if self.state is CircuitState.CLOSED:
            return True
        if now < self._rested_at:
            return False
        self.state = CircuitState.HALF_OPEN
        self._probe = repository_id
        self._rested_at = now + self.settings.rest.total_seconds()
        return True

    def _is_probe(self, now: float, repository_id: str, seconds: float | None) -> bool:
        """Return whether an outcome is the probe's: its repository, and a start after the opening."""
        began_after = seconds is None or now - seconds >= self._opened_at
        return repository_id == self._probe and began_after

    def _count(self, now: float, *, succeeded: bool) -> None:
        outcomes = self._outcomes
        oldest = now - self.settings.window.total_seconds()
        while outcomes and (outcomes[0][0] < oldest or len(outcomes) == outcomes.maxlen):
            self._errors -= not outcomes.popleft()[1]
        outcomes.append((now, succeeded))
        self._errors += not succeeded
        self._failures_in_a_row = 0 if succeeded else self._failures_in_a_row + 1

    def _trips(self) -> bool:
        jobs, in_a_row = len(self._outcomes), self.settings.max_failures_in_a_row
        return 0 < in_a_row <= self._failures_in_a_row or (
            jobs >= self.settings.min_jobs
            and self._errors * 100 > self.settings.max_error_rate * jobs
        )

    def _open(self, now: float) -> None:
        self.state = CircuitState.OPEN
        self._opened_at = now
        self._rested_at = now + self.settings.rest.total_seconds()
        self._outcomes.clear()
        self._errors = self._failures_in_a_row = 0


class CircuitListener(Protocol):
    """Notes changes of circuits; it is called without their lock, and may ask for them."""

    def set_broken(self, ask: Callable[[], Mapping[str, CircuitState]]) -> None:
        """Note a change of the features whose circuit is not closed, which `ask` returns."""

    def note_circuit(self, feature: str, state: CircuitState) -> None:
        """Note the new state of a feature's circuit."""


class Circuits:
    """The circuits of all features of one client; safe to use from any thread."""

    def __init__(
        self,
        settings: CircuitSettings,
        clock: Callable[[], float],
        listener: CircuitListener,
    ) -> None:
        """`listener` has the answers that a circuit changes, and the observer."""
        self._settings = settings
        self._clock = clock
        self._listener = listener
        # Reentrant: a signal handler may record while the interrupted code does.
        self._lock = threading.RLock()
        self._circuits: dict[str, Circuit] = {}

    def record(self, outcome: Outcome) -> None:
        """Count the outcome of a job in the circuit of its feature."""
        feature = outcome.feature
        with self._lock:
            circuit = self._circuits.setdefault(feature, Circuit(self._settings))
            before = circuit.state
            circuit.record(
                self._clock(),
                outcome.repository_id,
                succeeded=outcome.succeeded,
                seconds=outcome.seconds,
            )
            after = circuit.state
        if (before is CircuitState.CLOSED) != (after is CircuitState.CLOSED):
            self._listener.set_broken(self.not_closed)
        if after is not before:
            _LOG.warning("feature %r: the circuit is %s in this process", feature, after)
            self._listener.note_circuit(feature, after)

    def admits(self, feature: str, repository_id: str) -> bool:
        """Return whether a decision about a feature may be a yes; the decision routes a job."""
        with self._lock:
            circuit = self._circuits.get(feature)
            if circuit is None:
                return True
            before = circuit.state
            admits = circuit.admits(self._clock(), repository_id)
            after = circuit.state
        if after is not before:
            self._listener.note_circuit(feature, after)
        return admits

    def not_closed(self) -> dict[str, CircuitState]:
        """Return the features with a circuit that is not closed, each with its state."""
        with self._lock:
            return {
                name: circuit.state
                for name, circuit in self._circuits.items()
                if circuit.state is not CircuitState.CLOSED
            }

    def restart_after_fork(self) -> None:
        """In a forked child: use a new lock; the states of the circuits stay."""
        self._lock = threading.RLock()
