"""A pull request's reviews and the people who wrote its commits, as GitHub's GraphQL API has them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from reconciler.errors import Unavailable
from reconciler.github.client import GitHub
from reconciler.planning.approval_evidence import Review, ReviewState

_COMMIT: Final = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
_PERSON: Final = "User"
_MAX_PAGES: Final = 20
MAX_COMMITS: Final = 250
"""GitHub lists no more commits of a pull request."""

_OF_COMMIT: Final = """\
query ($owner: String!, $name: String!, $commit: GitObjectID!) {
  repository(owner: $owner, name: $name) {
    object(oid: $commit) {
      ... on Commit {
        associatedPullRequests(first: 50) {
          nodes { number merged baseRefName baseRepository { nameWithOwner } }
        }
      }
    }
  }
}
"""
_PULL_REQUEST: Final = """\
query ($owner: String!, $name: String!, $number: Int!) {
  repository(owner: $owner, name: $name) {
    pullRequest(number: $number) {
      headRefOid
      author { __typename login }
      timelineItems(
        last: 1
        itemTypes: [
          HEAD_REF_FORCE_PUSHED_EVENT
          BASE_REF_CHANGED_EVENT
          AUTOMATIC_BASE_CHANGE_SUCCEEDED_EVENT
        ]
      ) {
        nodes {
          ... on HeadRefForcePushedEvent { createdAt }
          ... on BaseRefChangedEvent { createdAt }
          ... on AutomaticBaseChangeSucceededEvent { createdAt }
        }
      }
    }
  }
}
"""
_REVIEWS: Final = """\
query ($owner: String!, $name: String!, $number: Int!, $after: String) {
  repository(owner: $owner, name: $name) {
    pullRequest(number: $number) {
      reviews(first: 100, after: $after) {
        pageInfo { hasNextPage endCursor }
        nodes {
          state
          submittedAt
          authorCanPushToRepository
          author { __typename login }
          commit { oid }
        }
      }
    }
  }
}
"""
_COMMITS: Final = """\
query ($owner: String!, $name: String!, $number: Int!, $after: String) {
  repository(owner: $owner, name: $name) {
    pullRequest(number: $number) {
      commits(first: 100, after: $after) {
        totalCount
        pageInfo { hasNextPage endCursor }
        nodes {
          commit {
            authors(first: 100) { totalCount nodes { user { login } } }
            committer { user { login } }
          }
        }
      }
    }
  }
}
"""


@dataclass(frozen=True, slots=True)
class ReviewedPullRequest:
    """A pull request: its head, its authors and its reviews."""

    number: int
    head: str
    authors: frozenset[str]
    reviews: tuple[Review, ...]
    problem: str | None


@dataclass(frozen=True, slots=True)
class ReviewReader:
    """Reads pull requests of a repository."""

    github: GitHub
    repository: str
    """`owner/name`"""

    def merged_with(self, commit: str, branch: str) -> tuple[int, ...]:
        """Return the merged pull requests that brought a commit to a branch."""
        found = self._ask(_OF_COMMIT, commit=commit)["object"]
        nodes = [] if found is None else found["associatedPullRequests"]["nodes"]
        return tuple(
            int(each["number"])
            for each in nodes
            if each["merged"]
            and each["baseRefName"] == branch
            and (each["baseRepository"] or {}).get("nameWithOwner", "").lower()
            == self.repository.lower()
        )

    def read(self, number: int) -> ReviewedPullRequest:
        """Return a pull request."""
        found = self._ask(_PULL_REQUEST, number=number)["pullRequest"]
        head = str(found["headRefOid"])
        if not _COMMIT.fullmatch(head):
            raise Unavailable("GitHub's answer has no head of a pull request; try again later")
        authors, problem = self._authors(number)
        if found["author"] is not None:
            authors |= {str(found["author"]["login"])}
        # GitHub moves reviews to the new head after a forced push, and keeps them for another base.
        events = found["timelineItems"]["nodes"]
        replaced = max((str(each["createdAt"]) for each in events), default="")
        nodes = sorted(self._nodes(_REVIEWS, "reviews", number), key=_submitted)
        reviews = tuple(
            replace(_review(each), is_overtaken=_submitted(each) <= replaced) for each in nodes
        )
        return ReviewedPullRequest(number, head, authors, reviews, problem)

    def _authors(self, number: int) -> tuple[frozenset[str], str | None]:
        commits = list(self._nodes(_COMMITS, "commits", number))
        if len(commits) >= MAX_COMMITS:
            return (
                frozenset(),
                f"it has {MAX_COMMITS} commits or more, so its authors are not known",
            )
        found: set[str] = set()
        for node in commits:
            authors, committer = node["commit"]["authors"], node["commit"]["committer"]
            if authors["totalCount"] > len(authors["nodes"]):
                return frozenset(), "a commit has more than 100 authors"
            people = [*(each["user"] for each in authors["nodes"]), (committer or {}).get("user")]
            found |= {str(each["login"]) for each in people if each is not None}
        return frozenset(found), None

    def _nodes(self, query: str, key: str, number: int) -> Iterator[Mapping[str, Any]]:
        after: str | None = None
        for _ in range(_MAX_PAGES):
            page = self._ask(query, number=number, after=after)["pullRequest"][key]
            yield from page["nodes"]
            if not page["pageInfo"]["hasNextPage"]:
                return
            after = page["pageInfo"]["endCursor"]
        raise Unavailable(f"pull request #{number} has too many {key} to read")

    def _ask(self, query: str, **variables: Any) -> Any:
        owner, _, name = self.repository.partition("/")
        found = self.github.query(query, {"owner": owner, "name": name, **variables})
        if found.get("repository") is None:
            raise Unavailable("GitHub's answer has no repository; try again later")
        return found["repository"]


def _submitted(node: Mapping[str, Any]) -> str:
    # A pending review has no time: it is the newest.
    return str(node["submittedAt"] or "~")


def _review(node: Mapping[str, Any]) -> Review:
    author, commit = node["author"], node["commit"]
    return Review(
        by=None if author is None else str(author["login"]),
        state=_state(str(node["state"])),
        commit=None if commit is None else str(commit["oid"]),
        is_bot=author is not None and author["__typename"] != _PERSON,
        may_write=bool(node["authorCanPushToRepository"]),
    )


def _state(text: str) -> ReviewState:
    """Return the state of a review; one that is not known yet decides nothing."""
    return ReviewState(text) if text in set(ReviewState) else ReviewState.COMMENTED
