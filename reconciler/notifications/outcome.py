"""The outcome of one try: the receiver's answer, and whether another try can help."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

MAX_RETRY_AFTER_SECONDS: Final = 3_600.0
_TRIED_AGAIN: Final = frozenset({408, 425, 429})


class Result(Enum):
    """The state of a message after a try."""

    DELIVERED = auto()
    AGAIN = auto()
    """No answer, or an answer that may change later."""
    REFUSED = auto()
    """Further tries would fail too."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one try."""

    result: Result
    answer: str
    """The receiver's answer in a line, for people."""
    retry_after_seconds: float | None = None
    """The time that the receiver asks to wait; None without one."""


def outcome_of_status(status: int, text: str, retry_after_seconds: float | None = None) -> Outcome:
    """Return the outcome of an HTTP answer."""
    answer = f"{status} {text}".strip()
    if 200 <= status < 300:  # noqa: PLR2004 - the class of success
        return Outcome(Result.DELIVERED, answer)
    if status in _TRIED_AGAIN or status >= 500:  # noqa: PLR2004 - the server's fault
        wait = retry_after_seconds
        return Outcome(
            Result.AGAIN, answer, None if wait is None else min(wait, MAX_RETRY_AFTER_SECONDS)
        )
    return Outcome(Result.REFUSED, answer)
