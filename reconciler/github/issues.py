"""Issues that tell of a state: opened once when it begins, kept up to date, closed when it ends.

Each state has a hidden marker. An issue that people closed meanwhile stays closed; the next time that
the state begins gets an issue of its own. A first line tells those whose state has ended from the others.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from reconciler.github.authors import is_ours, with_marker
from reconciler.github.client import GitHub
from reconciler.github.creation import create_once

LABEL: Final = "rollout"
_OVER: Final = "**It is over.**"
_CLOSED_LOOKED_AT: Final = 100
"""So many closed issues, the newest, are looked at for one that people closed."""


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
    lasting = _lasting_issues(github, repository, kind)
    for marker, state in present.items():
        wanted = {"title": state.title, "body": with_marker(state.body, marker)}
        there = next((each for each in lasting if is_ours(each, marker)), None)
        if there is None:
            opened.append(_open(github, repository, state))
        elif there["state"] == "open" and {key: there[key] for key in wanted} != wanted:
            updated.append(_change(github, repository, there, wanted))
    for each in lasting:
        if not any(is_ours(each, marker) for marker in present):
            body = f"{_OVER} Before that:\n\n{each['body']}"
            changes = {"state": "closed", "state_reason": "completed", "body": body}
            if each["state"] == "open":
                closed.append(_change(github, repository, each, changes))
            else:
                _change(github, repository, each, {"body": body})
    return Told(tuple(opened), tuple(updated), tuple(closed))


def _lasting_issues(github: GitHub, repository: str, kind: str) -> list[Any]:
    """Return the issues of states that did not end yet: open ones, then those that people closed."""
    listed = github.pages(f"{repository}/issues", state="closed", labels=LABEL)
    closed = [
        each
        for each in islice(listed, _CLOSED_LOOKED_AT)
        if each["state"] == "closed" and _tells(each, kind) and not each["body"].startswith(_OVER)
    ]
    return [*_open_issues(github, repository, kind), *closed]


def _open_issues(github: GitHub, repository: str, kind: str) -> list[Any]:
    listed = github.pages(f"{repository}/issues", state="open", labels=LABEL)
    return [each for each in listed if _tells(each, kind)]


def _tells(issue: Mapping[str, Any], kind: str) -> bool:
    # GitHub lists pull requests as issues too.
    return "pull_request" not in issue and is_ours(issue, kind)


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
