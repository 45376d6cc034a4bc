"""Pull requests of the reconciler's own branches: one for each branch, opened once.

One that a person closed without a merge is declined, and is not opened again.
"""

from dataclasses import dataclass
from typing import Any

from reconciler.errors import NotFound, SetupInvalid
from reconciler.github.client import GitHub
from reconciler.github.creation import create_once
from reconciler.github.markers import MAX_CHARACTERS
from reconciler.wording import short_commit


@dataclass(frozen=True, slots=True)
class Proposal:
    """The content of a pull request."""

    branch: str
    """The branch to merge, of the same repository."""
    base: str
    title: str
    body: str


@dataclass(frozen=True, slots=True)
class Proposed:
    """A pull request that exists."""

    number: int
    url: str
    is_new: bool
    is_declined: bool
    """Whether a person closed it without a merge."""


def propose(github: GitHub, repository: str, proposal: Proposal) -> Proposed:
    """Open a pull request for a branch, or update the existing one.

    Raises:
        SetupInvalid: GitHub refuses it, for instance if actions may not open pull requests.
    """

    def find() -> Any:
        return _find(github, repository, proposal.branch, proposal.base)

    there = find()
    if there is not None:
        return _keep(github, repository, proposal, there)
    body = {
        "head": proposal.branch,
        "base": proposal.base,
        "title": proposal.title,
        "body": _body(proposal),
        "maintainer_can_modify": True,
    }
    try:
        opened = create_once(github, f"{repository}/pulls", body, find)
    except SetupInvalid:
        # Another run may have opened it in between.
        there = find()
        if there is None:
            raise
        return _keep(github, repository, proposal, there)
    return _proposed(opened, is_new=True)


@dataclass(frozen=True, slots=True)
class FoundPullRequest:
    """An open pull request of any author."""

    number: int
    base_commit: str
    """The tip of its base branch."""


def find_pull_request(github: GitHub, repository: str, head: str, commit: str) -> FoundPullRequest:
    """Return the open pull request from `owner:branch` at a commit.

    Raises:
        NotFound: no such pull request is open, or it has newer commits.
    """
    for each in github.pages(f"{repository}/pulls", state="open", head=head):
        if each["head"]["sha"] == commit:
            return FoundPullRequest(int(each["number"]), str(each["base"]["sha"]))
    raise NotFound(
        f"no open pull request from {head} is at {short_commit(commit)}; "
        "the run of its newest commit comments"
    )


def is_proposed(github: GitHub, repository: str, branch: str, base: str) -> bool:
    """Return whether a branch has a pull request that is open or declined."""
    return _find(github, repository, branch, base) is not None


def declined_address(github: GitHub, repository: str, branch: str, base: str) -> str | None:
    """Return the address of the declined pull request of a branch; None without one, or with an open one."""
    there = _find(github, repository, branch, base)
    return None if there is None or there["state"] == "open" else str(there["html_url"])


def _find(github: GitHub, repository: str, branch: str, base: str) -> Any:
    owner = repository.removeprefix("/repos/").partition("/")[0]
    head = f"{owner}:{branch}"
    found = github.pages(f"{repository}/pulls", state="all", head=head, base=base)
    unmerged = [each for each in found if each["merged_at"] is None]
    return min(unmerged, key=lambda each: each["state"] != "open", default=None)


def _keep(github: GitHub, repository: str, proposal: Proposal, there: Any) -> Proposed:
    # The title stays: a person may have added the number of a ticket.
    wanted = {"body": _body(proposal)}
    if there["state"] == "open" and there["body"] != wanted["body"]:
        there = github.change("PATCH", f"{repository}/pulls/{int(there['number'])}", wanted)
    return _proposed(there, is_new=False)


def _body(proposal: Proposal) -> str:
    return proposal.body[:MAX_CHARACTERS]


def _proposed(entry: Any, *, is_new: bool) -> Proposed:
    return Proposed(
        number=int(entry["number"]),
        url=str(entry["html_url"]),
        is_new=is_new,
        is_declined=entry["state"] != "open",
    )
