"""Reviewed pull requests of the small GitHub: its answers to the GraphQL queries about approvals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

PAGE = 2
"""Nodes of a page, so that tests read several pages."""
MANY = 20
"""From this number of nodes on, pages are as large as GitHub's."""


@dataclass(frozen=True)
class Account:
    """An account; a person with the right to write, unless a test says otherwise."""

    login: str
    kind: str = "User"
    may_write: bool = True


@dataclass(frozen=True)
class Reviewed:
    """A review, of the head unless it names another commit."""

    by: Account | None
    state: str = "APPROVED"
    commit: str | None = None


@dataclass
class PullRequest:
    """A merged pull request."""

    number: int
    head: str
    author: Account | None
    reviews: list[Reviewed] = field(default_factory=list)
    commits: list[Sequence[str | None]] = field(default_factory=list)
    """The logins of the authors and of the committer, which is last, of each commit."""
    base: str = "main"
    repository: str = "acme/rollouts"
    merged: bool = True
    brought: set[str] = field(default_factory=set)
    """The commits that it brought to its base."""

    replaced_after: int | None = None
    """How many reviews came before the newest forced push or change of the base."""

    def approve(self, *people: Account | None, **values: Any) -> None:
        self.reviews += [replace(Reviewed(each), **values) for each in people]


def answer(pull_requests: Mapping[int, PullRequest], body: Any) -> Any:
    """Answer a query about a commit's pull requests, or about one pull request."""
    query, variables = body["query"], body["variables"]
    if "associatedPullRequests" in query:
        nodes = [
            {
                "number": each.number,
                "merged": each.merged,
                "baseRefName": each.base,
                "baseRepository": {"nameWithOwner": each.repository},
            }
            for each in pull_requests.values()
            if variables["commit"] in each.brought
        ]
        return _data({"object": {"associatedPullRequests": {"nodes": nodes}}})
    found = pull_requests[variables["number"]]
    if "reviews(" in query:
        nodes = [_review(each, found.head, at) for at, each in enumerate(found.reviews)]
        return _data({"pullRequest": {"reviews": _page(nodes, variables["after"])}})
    if "commits(" in query:
        nodes = [_commit(each) for each in found.commits]
        return _data({"pullRequest": {"commits": _page(nodes, variables["after"])}})
    at = found.replaced_after
    events = [] if at is None else [{"createdAt": f"2026-11-28T12:{at:02}:00Z"}]
    return _data(
        {
            "pullRequest": {
                "headRefOid": found.head,
                "author": _account(found.author),
                "timelineItems": {"nodes": events},
            }
        }
    )


def _data(repository: Any) -> Any:
    return {"data": {"repository": repository}}


def _page(nodes: list[Any], after: str | None) -> Any:
    begin = int(after or 0)
    end = begin + (PAGE if len(nodes) < MANY else 100)
    return {
        "totalCount": len(nodes),
        "pageInfo": {"hasNextPage": end < len(nodes), "endCursor": str(end)},
        "nodes": nodes[begin:end],
    }


def _review(review: Reviewed, head: str, at: int) -> Any:
    is_pending = review.state == "PENDING"
    return {
        "state": review.state,
        "submittedAt": None if is_pending else f"2026-11-28T12:{at:02}:30Z",
        "authorCanPushToRepository": review.by is not None and review.by.may_write,
        "author": _account(review.by),
        "commit": {"oid": review.commit or head},
    }


def _account(account: Account | None) -> Any:
    return None if account is None else {"__typename": account.kind, "login": account.login}


def _commit(people: Sequence[str | None]) -> Any:
    users = [{"user": None if each is None else {"login": each}} for each in people]
    authors = users[:-1]
    return {
        "commit": {
            "authors": {"totalCount": len(authors), "nodes": authors},
            "committer": users[-1],
        }
    }
