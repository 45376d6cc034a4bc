"""What fails, told once when it begins and once when it ends, however often it is tried in between."""

from reconciler.errors import ReconcilerError
from reconciler.operations.events import Failed, Recovered, Subject, Tell
from reconciler.planning.watch import News, Trouble


class Troubles:
    """How each subject does; a subject is one thread's."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._found: dict[Subject, Trouble] = dict.fromkeys(Subject, Trouble())

    def is_failing(self, subject: Subject) -> bool:
        """Tell whether the last try failed."""
        return self._found[subject].kind is not None

    def succeeded(self, subject: Subject) -> None:
        """Remember a success, and tell it where there was trouble."""
        self._found[subject], news = self._found[subject].after(None)
        if news is News.ENDED:
            self._tell(Recovered(subject))

    def failed(self, subject: Subject, error: Exception) -> int:
        """Remember a failure, and tell it where it is news; return how many in a row it is."""
        self._found[subject], news = self._found[subject].after(type(error).__name__)
        if news is News.BEGAN:
            self._tell(Failed(subject, _sentence(error), error))
        return self._found[subject].failures


def _sentence(error: Exception) -> str:
    if isinstance(error, ReconcilerError):
        return str(error)
    # A fault of ours ends a command, and must not end the watch over everybody. Its words may tell a secret.
    return (
        f"this is a fault of reconcile: {type(error).__name__}; report it with what --verbose shows"
    )
