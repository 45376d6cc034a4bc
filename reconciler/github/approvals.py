"""Approvals on GitHub: who reviewed exactly the change of the file that was merged."""

import base64
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from reconciler.errors import NotFound, SetupInvalid, Unavailable
from reconciler.github.client import GitHub, repository_path
from reconciler.github.commits import merge_base_on_github
from reconciler.github.reviews import ReviewedPullRequest, ReviewReader
from reconciler.operations.approvals import History, find_committed, parse
from reconciler.planning.approval_evidence import (
    Evidence,
    NoEvidence,
    Owners,
    PullRequest,
    ReviewedSteps,
    Step,
)
from reconciler.planning.approval_subjects import Files, FilesChange
from reconciler.planning.plan_inputs import Source
from reconciler.wording import short_commit

_MAX_STEPS: Final = 200
_TEAM: Final = re.compile("@([A-Za-z0-9_-]{1,100})/([A-Za-z0-9._-]{1,100})")


@dataclass(frozen=True, slots=True)
class GitHubReviews:
    """Reviews of pull requests, as a source of approvals."""

    github: GitHub
    repository: str
    """As a path: `/repos/owner/name`."""
    branch: str
    """The branch that pull requests are merged into."""
    previewed: int | None = None
    """The pull request of this run, whose merge is HEAD."""

    def read_evidence(self, source: Source, base: str | None, *, with_owners: bool) -> Evidence:
        """Return the reviews of each pull request that changed the file since the last apply."""
        history = find_committed(source, base)
        if isinstance(history, NoEvidence):
            return history
        reader = _Reader(self, history)
        steps = reader.steps()
        if isinstance(steps, NoEvidence):
            return steps
        owners = reader.owners(steps) if with_owners else Owners()
        return ReviewedSteps(history.range.base, steps, owners)


@dataclass(frozen=True, slots=True)
class ReviewsOfThisJob:
    """The reviews in the repository of a job, which is asked only if a change needs approvals."""

    report: Callable[[str], None]
    """Receives a message before a wait for a rate limit."""
    previewed: int | None = None
    """The pull request of this job."""

    def read_evidence(self, source: Source, base: str | None, *, with_owners: bool) -> Evidence:
        """Return the reviews of each pull request that changed the file since the last apply."""
        branch = os.environ.get("GITHUB_BASE_REF") or os.environ.get("GITHUB_REF_NAME") or "main"
        reviews = GitHubReviews(
            GitHub.from_environment(self.report), repository_path(), branch, self.previewed
        )
        return reviews.read_evidence(source, base, with_owners=with_owners)


@dataclass(frozen=True, slots=True)
class _Reader:
    """One reading of the reviews since the last apply."""

    source: GitHubReviews
    history: History

    def steps(self) -> tuple[Step, ...] | NoEvidence:
        found = self.history.range
        commits = found.first_parents()
        begin = commits[0].parents[0] if commits and commits[0].parents else found.base
        if begin != found.base and self.history.files_at(begin) != self.history.base:
            return NoEvidence(
                f"the last applied commit, {short_commit(found.base)}, is not on the way of the branch "
                f"to {short_commit(found.head)}"
            )
        changing = found.changing((*found.names, *self.history.trusted))
        changes = [each for each in commits if each.commit in changing]
        if len(changes) > _MAX_STEPS:
            return NoEvidence(
                f"more than {_MAX_STEPS} commits change the file since the last apply"
            )
        carried = [(each, self._numbers(each.commit)) for each in changes]
        read: dict[int, ReviewedPullRequest] = {}
        steps = []
        # A rebase brings several commits of one pull request.
        for numbers, group in groupby(carried, key=lambda pair: pair[1]):
            members = [commit for commit, _ in group]
            parts = [members] if numbers else [[each] for each in members]
            for part in parts:
                before, after = part[0].parents[0], part[-1].commit
                for number in numbers:
                    if number not in read:
                        read[number] = self._reviews.read(number)
                steps.append(
                    Step(
                        after,
                        FilesChange(self.history.files_at(before), self.history.files_at(after)),
                        tuple(self._pull_request(read[number], before) for number in numbers),
                    )
                )
        return tuple(steps)

    def owners(self, steps: Iterable[Step]) -> Owners:
        """Return the owners of the file, with those approvers who are members of an owning team."""
        listed = self.history.listed_owners
        approvers = {
            each.name
            for step in steps
            for pull_request in step.pull_requests
            for each in pull_request.approvers()
        }
        people = {each.removeprefix("@").lower() for each in listed if "/" not in each}
        undecided = {
            each: "GitHub does not say whose address this is" for each in listed if "@" in each[1:]
        }
        for team in (each for each in listed if "/" in each and each not in undecided):
            members = self._members(team, approvers)
            if members is None:
                undecided[team] = "this token may not read the members of the team"
            else:
                people |= members
        return Owners(listed, frozenset(people), undecided)

    def _members(self, team: str, people: Iterable[str]) -> set[str] | None:
        """Return those of these people who are members of a team; None if this token does not see it."""
        found = _TEAM.fullmatch(team)
        if found is None:
            return None
        path = f"/orgs/{found[1]}/teams/{found[2]}"
        try:
            self.source.github.get(path)
            return {each.lower() for each in people if self._is_member(path, each)}
        except (NotFound, SetupInvalid):
            return None

    def _is_member(self, team: str, login: str) -> bool:
        try:
            found = self.source.github.get(f"{team}/memberships/{login}")
        except NotFound:
            return False
        return bool(found["state"] == "active")

    @property
    def _changed(self) -> tuple[str, ...]:
        return tuple(self.history.changed_trust(with_owners=True))

    @property
    def _reviews(self) -> ReviewReader:
        return ReviewReader(self.source.github, self.source.repository.removeprefix("/repos/"))

    def _numbers(self, commit: str) -> tuple[int, ...]:
        if commit == self.history.range.head and self.source.previewed is not None:
            return (self.source.previewed,)
        return self._reviews.merged_with(commit, self.source.branch)

    def _pull_request(self, found: ReviewedPullRequest, before: str) -> PullRequest:
        return PullRequest(
            found.number,
            found.head,
            found.authors,
            found.reviews,
            self._change(before, found.head),
            found.problem,
        )

    def _change(self, before: str, head: str) -> FilesChange:
        """Return the change that reviewers saw: from where the pull request left its base to its head."""
        here = self.history.range
        if here.has(head):
            common = here.merge_base(before, head)
        else:
            github, repository = self.source.github, self.source.repository
            common = merge_base_on_github(github, repository, before, head)
        nothing = Files(None)
        return FilesChange(
            nothing if common is None else self._files_at(common), self._files_at(head)
        )

    def _files_at(self, commit: str) -> Files:
        if self.history.range.has(commit):
            return self.history.files_at(commit)
        read = self.history.read
        if commit not in read:
            names = self.history.range.names
            contents = (self._content(each, commit) for each in names)
            read[commit] = Files(
                parse(next((each for each in contents if each is not None), None)),
                {path: self._content(path, commit) for path in self._changed},
            )
        return read[commit]

    def _content(self, path: str, commit: str) -> bytes | None:
        """Return the content of a file at a commit that this clone lacks."""
        try:
            found = self.source.github.get(f"{self.source.repository}/contents/{path}", ref=commit)
        except NotFound:
            return None
        if not isinstance(found, dict) or found.get("type") != "file":
            return b"\0"
        if found.get("encoding") != "base64":
            blob = self.source.github.get(f"{self.source.repository}/git/blobs/{found['sha']}")
            found = {"content": blob["content"]}
        try:
            return base64.b64decode(found["content"])
        except ValueError as error:
            raise Unavailable(
                "GitHub's answer has no content of a file; try again later"
            ) from error
