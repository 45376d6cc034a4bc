"""Failures of the watch: each is reported once when it begins and once when it ends."""

from reconciler.errors import ReconcilerError
from reconciler.operations.events import Failed, Recovered, Subject
from reconciler.operations.listeners import Emit
from reconciler.planning.watch import FailureChange, FailureState


class FailureTracker:
    """The failures in a row of each subject; one thread writes to a subject."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._states: dict[Subject, FailureState] = dict.fromkeys(Subject, FailureState())

    def is_failing(self, subject: Subject) -> bool:
        """Return whether the last try failed."""
        return self._states[subject].kind is not None

    def succeeded(self, subject: Subject) -> None:
        """Record a success; report it if the try before it failed."""
        self._states[subject], change = self._states[subject].after(None)
        if change is FailureChange.ENDED:
            self._emit(Recovered(subject))

    def failed(self, subject: Subject, error: Exception) -> int:
        """Record a failure, and report it if it is a new one; return the failures in a row."""
        self._states[subject], change = self._states[subject].after(type(error).__name__)
        if change is FailureChange.BEGAN:
            self._emit(Failed(subject, _sentence(error), error))
        return self._states[subject].failures


def _sentence(error: Exception) -> str:
    if isinstance(error, ReconcilerError):
        return str(error)
    # A defect ends a command, but it must not end the watch. Its message may contain a secret.
    return f"this is a defect of reconcile: {type(error).__name__}; report it with the --verbose output"
