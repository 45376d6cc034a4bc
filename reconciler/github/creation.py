"""Create something once: if GitHub's answer is lost, look for the result before the next try."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from reconciler.errors import OutcomeUnknown
from reconciler.github.client import GitHub

_ATTEMPTS: Final = 3


def create_once(github: GitHub, path: str, body: Mapping[str, Any], find: Callable[[], Any]) -> Any:
    """Create something at a path; return GitHub's description of it.

    Args:
        github: the API.
        path: where to create it.
        body: its content.
        find: returns it if it exists, else None.

    Raises:
        OutcomeUnknown: GitHub did not answer, several times, and it does not exist.
    """
    lost: OutcomeUnknown | None = None
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return github.change("POST", path, body)
        except OutcomeUnknown as unknown:
            lost = unknown
        github.back_off(attempt)
        if (there := find()) is not None:
            return there
    raise lost or OutcomeUnknown
