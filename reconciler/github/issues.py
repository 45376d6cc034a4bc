"""Issues that tell of a state: opened once when it begins, kept up to date, closed when it ends.

Each state has a hidden marker. An issue that people closed meanwhile stays closed; the next time that
the state begins gets an issue of its own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from reconciler.github.authors import is_ours, with_marker
from reconciler.github.client import GitHub
from reconciler.github.creating import create_once

LABEL: Final = "rollout"


@dataclass(frozen=True, slots=True)
class State:
    """Something that people should know for as long as it lasts."""

    marker: str
    """A comment of HTML, the same each time that this state is told."""
    title: str
    body: str


@dataclass(frozen=True, slots=True)
class Told:
    """The addresses of the issues that were opened, changed and closed."""

    opened: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()


def tell_states(github: GitHub, repository: str, kind: str, states: Iterable[State]) -> Told:
    """Open an issue for each state that has none, update the others, close those whose state ended.

    `kind` begins the marker of every state that is told together: an open issue with such a marker, and
    no state, is closed.
    """
    present = {state.marker: state for state in states}
    opened: list[str] = []
    updated: list[str] = []
    closed: list[str] = []
    found = _open_issues(github, repository, kind)
    for marker, state in present.items():
        there = next((each for each in found if is_ours(each, marker)), None)
        if there is None:
            opened.append(_open(github, repository, state))
        elif (there["title"], there["body"]) != (state.title, with_marker(state.body, marker)):
            changes = {"title": state.title, "body": with_marker(state.body, marker)}
            updated.append(_change(github, repository, there, changes))
    for each in found:
        if not any(is_ours(each, marker) for marker in present):
            body = f"**It is over.** Before that:\n\n{each['body']}"
            changes = {"state": "closed", "state_reason": "completed", "body": body}
            closed.append(_change(github, repository, each, changes))
    return Told(tuple(opened), tuple(updated), tuple(closed))


def _open_issues(github: GitHub, repository: str, kind: str) -> list[Any]:
    listed = github.pages(f"{repository}/issues", state="open", labels=LABEL)
    # GitHub lists pull requests as issues too.
    return [each for each in listed if "pull_request" not in each and is_ours(each, kind)]


def _open(github: GitHub, repository: str, state: State) -> str:
    body = {
        "title": state.title,
        "body": with_marker(state.body, state.marker),
        "labels": [LABEL],
    }

    def find() -> Any:
        return next(iter(_open_issues(github, repository, state.marker)), None)

    return str(create_once(github, f"{repository}/issues", body, find)["html_url"])


def _change(
    github: GitHub, repository: str, issue: Mapping[str, Any], changes: Mapping[str, Any]
) -> str:
    path = f"{repository}/issues/{int(issue['number'])}"
    return str(github.change("PATCH", path, changes)["html_url"])
