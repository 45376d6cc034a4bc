"""The repositories of an organisation or a user: names, stars and pull requests, 100 in a request.

GraphQL does not count contributors; `count_contributors` needs one request for each repository.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from urllib.parse import quote

from reconciler.errors import NotFound, SetupInvalid, Unavailable
from reconciler.github.client import GitHub, is_full_name

_QUERY: Final = """\
query($login: String!, $after: String) {
  owner: %s(login: $login) {
    repositories(
      first: 100, after: $after, ownerAffiliations: OWNER, orderBy: {field: NAME, direction: ASC}
    ) {
      totalCount
      pageInfo { hasNextPage endCursor }
      nodes { databaseId nameWithOwner stargazerCount pushedAt pullRequests { totalCount } }
    }
  }
}
"""
_UNCOUNTED: Final = ("too large", "access blocked")
"""The text of GitHub's answer for a repository whose contributors it never counts."""


class OwnerKind(StrEnum):
    """The kind of an owner, as GraphQL names it."""

    ORGANIZATION = "organization"
    USER = "user"


@dataclass(frozen=True, slots=True)
class GitHubRepository:
    """One repository on GitHub."""

    github_id: int
    full_name: str
    stars: int
    pull_requests: int
    pushed_at: datetime | None
    """None before the first push."""


@dataclass(frozen=True, slots=True)
class RepositoryPage:
    """Some of an owner's repositories, and the number of all."""

    total: int
    repositories: tuple[GitHubRepository, ...]


def list_pages(github: GitHub, kind: OwnerKind, login: str) -> Iterator[RepositoryPage]:
    """Yield an owner's repositories by name, 100 at once.

    Raises:
        NotFound: the owner does not exist, or it is hidden from this token.
    """
    after: str | None = None
    while True:
        data = github.query(_QUERY % kind, {"login": login, "after": after})
        if data["owner"] is None:
            raise NotFound(f"GitHub has no {kind} {login}, or hides it from this token")
        found = data["owner"]["repositories"]
        yield RepositoryPage(
            found["totalCount"], tuple(_repository(node) for node in found["nodes"] if node)
        )
        if not found["pageInfo"]["hasNextPage"]:
            return
        after = found["pageInfo"]["endCursor"]


def find_by_id(github: GitHub, github_id: int) -> str | None:
    """Return the full name of a repository now, under any owner; None if it is deleted or hidden."""
    try:
        return _full_name(github.get(f"/repositories/{github_id}")["full_name"])
    except NotFound:
        return None


def count_contributors(github: GitHub, full_name: str) -> int | None:
    """Return the number of contributors; None if GitHub gives none: deleted, blocked or too large."""
    try:
        owner, name = (quote(part, safe="") for part in full_name.split("/"))
        return github.count(f"/repos/{owner}/{name}/contributors")
    except NotFound:
        return None
    except SetupInvalid as refused:
        if any(each in str(refused) for each in _UNCOUNTED):
            return None
        raise


def _full_name(name: Any) -> str:
    """Return a name of an answer, after a check that GitHub can give it; it becomes a part of paths."""
    if not isinstance(name, str) or not is_full_name(name):
        raise Unavailable(
            "an answer has a repository name that GitHub does not give; check GITHUB_API_URL"
        )
    return name


def _repository(node: Any) -> GitHubRepository:
    pushed_at = node["pushedAt"]
    return GitHubRepository(
        github_id=int(node["databaseId"]),
        full_name=_full_name(node["nameWithOwner"]),
        stars=int(node["stargazerCount"]),
        pull_requests=int(node["pullRequests"]["totalCount"]),
        pushed_at=None if pushed_at is None else datetime.fromisoformat(pushed_at),
    )
