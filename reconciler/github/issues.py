"""Issues for lasting states, such as drift: opened when a state begins, updated, closed when it ends.

Each state has a hidden marker. An issue that a person closed stays closed while the state lasts; when the
state begins again, it gets a new issue. The first line of the text marks an issue whose state has ended.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from reconciler.github.client import GitHub
from reconciler.github.creation import create_once
from reconciler.github.markers import is_ours, with_marker

LABEL: Final = "rollout"
_RESOLVED: Final = "**Resolved.**"
_FIRST_LINES_OF_RESOLVED: Final = (_RESOLVED, "**It is over.**")
"""The newest, and that of issues of earlier releases."""
_CLOSED_ISSUES_READ: Final = 100
"""The newest closed issues, among which one that a person closed is looked for."""


@dataclass(frozen=True, slots=True)
class DesiredIssue:
    """The issue for a state that lasts."""

    marker: str
    """A comment of HTML that identifies the state."""
    title: str
    body: str


@dataclass(frozen=True, slots=True)
class IssueChanges:
    """The addresses of the issues that were opened, updated and closed."""

    opened: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()


def update_issues(
    github: GitHub, repository: str, kind: str, desired: Iterable[DesiredIssue]
) -> IssueChanges:
    """Open the desired issues that do not exist, update the others, close those not desired any more.

    Args:
        github: the API.
        repository: its path.
        kind: the beginning of the marker of every issue of this kind; an open issue with such a marker
            is closed where it is not desired.
        desired: the issues for all states that last now.
    """
    present = {each.marker: each for each in desired}
    opened: list[str] = []
    updated: list[str] = []
    closed: list[str] = []
    lasting = _lasting_issues(github, repository, kind)
    for marker, issue in present.items():
        wanted = {"title": issue.title, "body": with_marker(issue.body, marker)}
        there = next((each for each in lasting if is_ours(each, marker)), None)
        if there is None:
            opened.append(_open(github, repository, issue))
        elif there["state"] == "open" and {key: there[key] for key in wanted} != wanted:
            updated.append(_change(github, repository, there, wanted))
    for each in lasting:
        if not any(is_ours(each, marker) for marker in present):
            body = f"{_RESOLVED} The text before:\n\n{each['body']}"
            changes = {"state": "closed", "state_reason": "completed", "body": body}
            if each["state"] == "open":
                closed.append(_change(github, repository, each, changes))
            else:
                _change(github, repository, each, {"body": body})
    return IssueChanges(tuple(opened), tuple(updated), tuple(closed))


def _lasting_issues(github: GitHub, repository: str, kind: str) -> list[Any]:
    """Return the issues whose state has not ended: the open ones, then those that a person closed."""
    listed = github.pages(f"{repository}/issues", state="closed", labels=LABEL)
    closed = [
        each
        for each in islice(listed, _CLOSED_ISSUES_READ)
        if each["state"] == "closed"
        and _is_of_kind(each, kind)
        and not each["body"].startswith(_FIRST_LINES_OF_RESOLVED)
    ]
    return [*_open_issues(github, repository, kind), *closed]


def _open_issues(github: GitHub, repository: str, kind: str) -> list[Any]:
    listed = github.pages(f"{repository}/issues", state="open", labels=LABEL)
    return [each for each in listed if _is_of_kind(each, kind)]


def _is_of_kind(issue: Mapping[str, Any], kind: str) -> bool:
    # GitHub lists pull requests as issues too.
    return "pull_request" not in issue and is_ours(issue, kind)


def _open(github: GitHub, repository: str, issue: DesiredIssue) -> str:
    body = {
        "title": issue.title,
        "body": with_marker(issue.body, issue.marker),
        "labels": [LABEL],
    }

    def find() -> Any:
        return next(iter(_open_issues(github, repository, issue.marker)), None)

    return str(create_once(github, f"{repository}/issues", body, find)["html_url"])


def _change(
    github: GitHub, repository: str, issue: Mapping[str, Any], changes: Mapping[str, Any]
) -> str:
    path = f"{repository}/issues/{int(issue['number'])}"
    return str(github.change("PATCH", path, changes)["html_url"])
