"""The repositories of an organisation or a user: names, stars and pull requests by the hundred.

Contributors have no count in GraphQL; `count_contributors` asks for one repository's in one request.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from reconciler.errors import NotFound, SetupInvalid
from reconciler.github.client import GitHub

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
"""What GitHub says of one repository where it refuses to count, whoever asks."""


class OwnerKind(StrEnum):
    """What an owner is, in GraphQL's words."""

    ORGANIZATION = "organization"
    USER = "user"


@dataclass(frozen=True, slots=True)
class GitHubRepository:
    """One repository as GitHub has it."""

    github_id: int
    full_name: str
    stars: int
    pull_requests: int
    pushed_at: datetime | None
    """None where nothing was ever pushed."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some of an owner's repositories, and how many there are of all."""

    total: int
    repositories: tuple[GitHubRepository, ...]


def list_pages(github: GitHub, kind: OwnerKind, login: str) -> Iterator[Page]:
    """Yield an owner's repositories by name, a hundred at once.

    Raises:
        NotFound: there is no such owner, or it is hidden from this token.
    """
    after: str | None = None
    while True:
        data = github.query(_QUERY % kind, {"login": login, "after": after})
        if data["owner"] is None:
            raise NotFound(f"GitHub knows no {kind} {login}, or hides it from this token")
        found = data["owner"]["repositories"]
        yield Page(found["totalCount"], tuple(_repository(node) for node in found["nodes"] if node))
        if not found["pageInfo"]["hasNextPage"]:
            return
        after = found["pageInfo"]["endCursor"]


def find_by_id(github: GitHub, github_id: int) -> str | None:
    """Return what a repository is called now, whoever has it; None where it is gone or hidden."""
    try:
        return str(github.get(f"/repositories/{github_id}")["full_name"])
    except NotFound:
        return None


def count_contributors(github: GitHub, full_name: str) -> int | None:
    """Return how many people contributed; None where GitHub does not say: gone, blocked, or too large."""
    try:
        return github.count(f"/repos/{full_name}/contributors")
    except NotFound:
        return None
    except SetupInvalid as refused:
        if any(each in str(refused) for each in _UNCOUNTED):
            return None
        raise


def _repository(node: Any) -> GitHubRepository:
    pushed_at = node["pushedAt"]
    return GitHubRepository(
        github_id=int(node["databaseId"]),
        full_name=str(node["nameWithOwner"]),
        stars=int(node["stargazerCount"]),
        pull_requests=int(node["pullRequests"]["totalCount"]),
        pushed_at=None if pushed_at is None else datetime.fromisoformat(pushed_at),
    )
