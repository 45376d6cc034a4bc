"""Issues for lasting states, such as drift: opened when a state begins, updated, closed when it ends.

Each state has a hidden marker. An issue that a person closed stays closed while the state lasts; when the
state begins again, it gets a new issue. The first line of the text marks an issue whose state has ended.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from reconciler.github.client import GitHub
from reconciler.github.creation import create_once
from reconciler.github.markers import is_ours, with_marker
from reconciler.github.names import Names

_RESOLVED: Final = "**Resolved.**"
_FIRST_LINES_OF_RESOLVED: Final = (_RESOLVED, "**It is over.**")
"""The newest, and that of issues of earlier releases."""
_CLOSED_ISSUES_READ: Final = 100
"""The newest closed issues, among which one that a person closed is looked for."""


@dataclass(frozen=True, slots=True)
class DesiredIssue:
    """The issue for a state that lasts."""

    feature: str
    """The feature in that state."""
    title: str
    body: str


@dataclass(frozen=True, slots=True)
class IssueChanges:
    """The addresses of the issues that were opened, updated and closed."""

    opened: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()


def update_issues(
    github: GitHub, repository: str, names: Names, kind: str, desired: Iterable[DesiredIssue]
) -> IssueChanges:
    """Open the desired issues that do not exist, update the others, close those not desired any more.

    Args:
        github: the API.
        repository: its path.
        names: the names of the rollout file; issues of other files are not read.
        kind: the kind of all these issues, such as `drift`; an open issue of this kind is closed if
            it is not desired.
        desired: the issues for all states that last now.
    """
    tracker = _Tracker(github, repository, names, kind)
    present = {names.marker(kind, each.feature): each for each in desired}
    opened: list[str] = []
    updated: list[str] = []
    closed: list[str] = []
    lasting = tracker.lasting()
    for marker, issue in present.items():
        wanted = {
            "title": f"{issue.title}{names.title_suffix}",
            "body": with_marker(issue.body, marker),
        }
        there = next((each for each in lasting if is_ours(each, marker)), None)
        if there is None:
            opened.append(tracker.open(marker, wanted))
        elif there["state"] == "open" and there["body"] != wanted["body"]:
            # If only the title differs, a person has changed it: it stays.
            updated.append(tracker.change(there, wanted))
    for each in lasting:
        if not any(is_ours(each, marker) for marker in present):
            body = _resolved(each["body"])
            changes = {"state": "closed", "state_reason": "completed", "body": body}
            if each["state"] == "open":
                closed.append(tracker.change(each, changes))
            else:
                tracker.change(each, {"body": body})
    return IssueChanges(tuple(opened), tuple(updated), tuple(closed))


def _resolved(body: str) -> str:
    text, _, marker = body.rstrip().rpartition("\n")
    return with_marker(f"{_RESOLVED} The text before:\n\n{text.rstrip()}", marker)


@dataclass(frozen=True, slots=True)
class _Tracker:
    """The issues of one kind and one rollout file."""

    github: GitHub
    repository: str
    names: Names
    kind: str

    def lasting(self) -> list[Any]:
        """Return the issues whose state has not ended: the open ones, then those that a person closed."""
        closed = [
            each
            for each in islice(self._list("closed"), _CLOSED_ISSUES_READ)
            if each["state"] == "closed"
            and self._is_of_kind(each)
            and not each["body"].startswith(_FIRST_LINES_OF_RESOLVED)
        ]
        return [*self._open_issues(), *closed]

    def open(self, marker: str, content: Mapping[str, Any]) -> str:
        """Open an issue, once; return its address."""

        def find() -> Any:
            return next((each for each in self._open_issues() if is_ours(each, marker)), None)

        body = {**content, "labels": list(self.names.labels)}
        path = f"{self.repository}/issues"
        return str(create_once(self.github, path, body, find)["html_url"])

    def change(self, issue: Mapping[str, Any], changes: Mapping[str, Any]) -> str:
        """Change an issue; return its address."""
        path = f"{self.repository}/issues/{int(issue['number'])}"
        return str(self.github.change("PATCH", path, changes)["html_url"])

    def _open_issues(self) -> list[Any]:
        return [each for each in self._list("open") if self._is_of_kind(each)]

    def _list(self, state: str) -> Iterator[Any]:
        label = self.names.labels[-1]
        return self.github.pages(f"{self.repository}/issues", state=state, labels=label)

    def _is_of_kind(self, issue: Mapping[str, Any]) -> bool:
        # GitHub lists pull requests as issues too.
        return "pull_request" not in issue and is_ours(issue, self.names.marker_prefix(self.kind))
