"""Creating something once: where GitHub's answer is lost, a look tells whether it is there."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from reconciler.errors import OutcomeUnknown
from reconciler.github.client import GitHub

_ATTEMPTS: Final = 3


def create_once(github: GitHub, path: str, body: Mapping[str, Any], find: Callable[[], Any]) -> Any:
    """Create something at a path; return it as it is then.

    `find` looks for it, and returns None where it is not.

    Raises:
        OutcomeUnknown: no answer came, again and again, and it is not there.
    """
    lost: OutcomeUnknown | None = None
    for attempt in range(_ATTEMPTS):
        try:
            return github.change("POST", path, body)
        except OutcomeUnknown as unknown:
            lost = unknown
        github.pause(attempt)
        if (there := find()) is not None:
            return there
    raise lost or OutcomeUnknown
