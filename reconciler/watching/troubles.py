"""What fails, told once when it begins and once when it ends, however often it is tried in between."""

from reconciler.errors import ReconcilerError
from reconciler.planning.watching import News, Trouble
from reconciler.watching.events import Failed, Recovered, Subject, Tell


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

    def failed(self, subject: Subject, kind: str, why: str) -> int:
        """Remember a failure, and tell it where it is news; return how many in a row it is."""
        self._found[subject], news = self._found[subject].after(kind)
        if news is News.BEGAN:
            self._tell(Failed(subject, why))
        return self._found[subject].failures


def describe(error: Exception) -> tuple[str, str]:
    """Return in which way an error fails, and what it tells in a line."""
    if isinstance(error, ReconcilerError):
        return type(error).__name__, str(error)
    # A fault of ours ends a command, and must not end the watch over everybody else.
    kind = type(error).__name__
    return kind, f"this is a fault of reconcile: {kind}; please report it"
