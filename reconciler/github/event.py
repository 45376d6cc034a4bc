"""The event that started a workflow, as far as commands need it.

Its texts (titles, branches) are hostile input; numbers and commits are checked.
"""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reconciler.errors import SetupInvalid

MAX_BYTES: Final = 32 * 1024 * 1024
_COMMIT: Final = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
_PULL_REQUEST: Final = re.compile("pull_request")
_OWNER: Final = re.compile("[A-Za-z0-9_-]{1,100}")


@dataclass(frozen=True, slots=True)
class PullRequestEvent:
    """A pull request was opened or changed."""

    number: int
    base_commit: str
    """The tip of its base branch at the time of the event."""


@dataclass(frozen=True, slots=True)
class WorkflowRunEvent:
    """A run for a pull request ended."""

    run: int
    head: str
    """`owner:branch` of the pull request's head."""
    head_commit: str
    is_fork: bool


def pull_request_event() -> PullRequestEvent:
    """Return the pull request of this run's event.

    Raises:
        SetupInvalid: the event is not about a pull request.
    """
    try:
        found = _event()["pull_request"]
        return PullRequestEvent(int(found["number"]), _matching(_COMMIT, found["base"]["sha"]))
    except (KeyError, TypeError, ValueError) as error:
        raise SetupInvalid(
            "GITHUB_EVENT_PATH has no pull request; run this on the event pull_request"
        ) from error


def workflow_run_event() -> WorkflowRunEvent:
    """Return the ended run of this run's event.

    Raises:
        SetupInvalid: the event is not about the end of a pull request's run.
    """
    try:
        event = _event()
        found = event["workflow_run"]
        _matching(_PULL_REQUEST, found["event"])
        head = found["head_repository"]
        owner = _matching(_OWNER, head["owner"]["login"])
        return WorkflowRunEvent(
            run=int(found["id"]),
            head=f"{owner}:{found['head_branch']}",
            head_commit=_matching(_COMMIT, found["head_sha"]),
            is_fork=head["full_name"] != event["repository"]["full_name"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise SetupInvalid(
            "GITHUB_EVENT_PATH has no run of a pull request; run this on the event workflow_run"
        ) from error


def _event() -> Any:
    path = os.environ.get("GITHUB_EVENT_PATH")
    if not path:
        raise SetupInvalid("GITHUB_EVENT_PATH is not set; run this in a workflow")
    try:
        with Path(path).open("rb") as file:
            return json.loads(file.read(MAX_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise SetupInvalid("GITHUB_EVENT_PATH cannot be read as an event") from error


def _matching(pattern: re.Pattern[str], value: str) -> str:
    if not pattern.fullmatch(value):
        raise ValueError
    return value
