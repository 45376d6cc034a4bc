"""A hook for telemetry: a client calls its observer at decisions, outcomes, reads and changes of circuits."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from uuid import UUID

from rollout_client.circuits import CircuitState
from rollout_client.outcome import Outcome
from rollout_client.state import Answer
from rollout_client.status import Status


class Observer:
    """Does nothing; a subclass overrides what it needs. Its methods return quickly and do not raise."""

    def watch(self, status: Callable[[], Status]) -> None:
        """Take the function that returns the client's state, once, when the client gets its observer."""

    def decided(self, repository: str | UUID, feature: str, answer: Answer) -> None:
        """Note a decision that routes a job."""

    def recorded(self, outcome: Outcome, *, is_taken: bool) -> None:
        """Note the outcome of a job; `is_taken` is what `record` returned."""

    def circuit_changed(self, feature: str, state: CircuitState) -> None:
        """Note the new state of a feature's circuit."""

    def reading(self, what: str) -> AbstractContextManager[object]:
        """Return a context for a read of `features` or of `repositories` from the database."""
        return nullcontext()


NO_OBSERVER = Observer()
