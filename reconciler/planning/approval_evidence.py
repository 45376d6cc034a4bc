"""The proofs of approvals, as values: reviews of pull requests, signed commits, or none.

Each kind judges a subject: who approved exactly its change, and which approvals are missing. A person
counts once, and never for a change that the person wrote.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from reconciler.planning.approval_subjects import Files, FilesChange, Subject
from reconciler.wording import counted, short_commit


@dataclass(frozen=True, slots=True)
class Needed:
    """The approvals that the rule asks for."""

    number: int
    owner: bool
    """Whether one of them is a code owner's."""

    @property
    def text(self) -> str:
        """What is needed, in words."""
        owner = ", one of a code owner," if self.owner else ""
        return f"{counted(self.number, 'approval')}{owner}"


@dataclass(frozen=True, slots=True)
class Approver:
    """A person who approved a change, and where: a pull request and its head, or a signed commit."""

    name: str
    at: str

    @property
    def text(self) -> str:
        """The person and the place, for people."""
        return f"{self.name} ({self.at})"


@dataclass(frozen=True, slots=True)
class Judged:
    """The approvers of a subject's change, and what is missing; None if nothing is."""

    approvers: tuple[Approver, ...]
    missing: str | None = None
    waits: bool = False
    """Whether a later apply can find it by itself, since only an answer is missing."""


class Evidence(Protocol):
    """Proofs of approvals for all changes since the last apply."""

    def judge(self, subject: Subject, needed: Needed) -> Judged:
        """Return who approved the subject's changes, and what is missing."""


@dataclass(frozen=True, slots=True)
class NoEvidence:
    """No approval can be proved."""

    reason: str
    waits: bool = False

    def judge(self, subject: Subject, needed: Needed) -> Judged:
        """Return that all approvals are missing."""
        del subject
        return Judged((), f"{needed.text} cannot be proved: {self.reason}", self.waits)


@dataclass(frozen=True, slots=True)
class Owners:
    """The owners of the file by CODEOWNERS at the last applied commit."""

    listed: tuple[str, ...] = ()
    """As the file has them: `@login`, `@organization/team` or an email address."""
    people: frozenset[str] = frozenset()
    """The names of the owners, in lower case, with the members of teams."""
    undecided: Mapping[str, str] = field(default_factory=dict)
    """Owners of which it is not known who they are, each with the reason."""

    def are_among(self, names: Iterable[str]) -> bool:
        """Return whether one of these people is an owner."""
        return not self.people.isdisjoint(each.lower() for each in names)

    @property
    def missing(self) -> str:
        """The sentence that says whose approval is missing."""
        if not self.listed:
            return "CODEOWNERS of the last applied commit has no owner of the file"
        unknown = "".join(
            f"; {owner} cannot be decided: {why}" for owner, why in self.undecided.items()
        )
        return f"an approval of a code owner is missing ({', '.join(self.listed)}){unknown}"


class ReviewState(StrEnum):
    """The state of a review, as GitHub names it."""

    APPROVED = "APPROVED"
    CHANGES_REQUESTED = "CHANGES_REQUESTED"
    COMMENTED = "COMMENTED"
    DISMISSED = "DISMISSED"
    PENDING = "PENDING"


_DECIDES = frozenset({ReviewState.APPROVED, ReviewState.CHANGES_REQUESTED, ReviewState.DISMISSED})


@dataclass(frozen=True, slots=True)
class Review:
    """A review of a pull request."""

    by: str | None
    """The login; None if the account is deleted."""
    state: ReviewState
    commit: str | None
    """The commit that the person saw."""
    is_bot: bool = False
    may_write: bool = True
    """Whether the person may write to the repository."""
    is_overtaken: bool = False
    """Whether the pull request got other commits by force, or another base, after it."""


@dataclass(frozen=True, slots=True)
class PullRequest:
    """A merged pull request, or the one that is previewed."""

    number: int
    head: str
    authors: frozenset[str]
    """The logins of its author, and of each author, co-author and committer of its commits."""
    reviews: tuple[Review, ...]
    """In the order of their submission."""
    change: FilesChange
    """The files where it left its base, and at its head: what the reviews are about."""
    problem: str | None = None
    """Why its reviews prove nothing."""

    def approvers(self) -> tuple[Approver, ...]:
        """Return the people whose last word is an approval of the head."""
        return tuple(
            Approver(review.by or "", f"#{self.number} at {short_commit(self.head)}")
            for review, why in self._judged()
            if why is None
        )

    def left_out(self) -> Iterator[str]:
        """Yield each person whose review does not count, and why."""
        for review, why in self._judged():
            if why is not None:
                yield f"{review.by or 'a deleted account'} {why}"

    def _judged(self) -> Iterator[tuple[Review, str | None]]:
        authors = {each.lower() for each in self.authors}
        last: dict[str, Review] = {}
        for review in self.reviews:
            person = (review.by or "").lower()
            if review.state in _DECIDES or person not in last:
                last[person] = review
        for person, review in last.items():
            yield review, self._why_not(review, is_author=person in authors)

    def _why_not(self, review: Review, *, is_author: bool) -> str | None:
        reasons = (
            (review.by is None, "does not count"),
            (review.is_bot, "is a bot"),
            (is_author, "is an author of the change"),
            (not review.may_write, "may not write to the repository"),
            (review.state is ReviewState.DISMISSED, "has a dismissed review"),
            (review.state is ReviewState.CHANGES_REQUESTED, "requested changes"),
            (review.state is ReviewState.COMMENTED, "commented only"),
            (review.state is ReviewState.PENDING, "has not submitted the review"),
            (
                review.is_overtaken,
                "approved before a forced push, or before another base was chosen",
            ),
            (
                review.commit != self.head,
                f"approved {short_commit(review.commit or 'an unknown commit')}, which is not the head",
            ),
        )
        return next((why for holds, why in reasons if holds), None)


@dataclass(frozen=True, slots=True)
class Step:
    """A change of the files on the branch, and the pull requests that carried it."""

    commit: str
    change: FilesChange
    pull_requests: tuple[PullRequest, ...]

    def judge(self, subject: Subject, needed: Needed, owners: Owners) -> Judged:
        """Return the approvers of this step, and what is missing."""
        if not self.pull_requests:
            return Judged(
                (), f"{short_commit(self.commit)} was pushed without a merged pull request"
            )
        judged = [self._by(each, subject, needed, owners) for each in self.pull_requests]
        return next((each for each in judged if each.missing is None), judged[0])

    def _by(
        self, pull_request: PullRequest, subject: Subject, needed: Needed, owners: Owners
    ) -> Judged:
        place = f"#{pull_request.number} at {short_commit(pull_request.head)}"
        if pull_request.problem is not None:
            return Judged((), f"{place}: {pull_request.problem}")
        if not subject.is_reviewed(pull_request.change, self.change):
            return Judged(
                (),
                f"{short_commit(self.commit)} has another change than {place}, which was reviewed",
            )
        approvers = pull_request.approvers()
        return Judged(approvers, missing(place, approvers, pull_request.left_out(), needed, owners))


def missing(
    place: str,
    approvers: tuple[Approver, ...],
    left_out: Iterable[str],
    needed: Needed,
    owners: Owners,
) -> str | None:
    """Return which approvals are missing of a change; None if none is."""
    others = ", ".join(left_out)
    if len(approvers) < needed.number:
        why = f" ({others})" if others else ""
        return f"{place} has {len(approvers)} of {counted(needed.number, 'approval')}{why}"
    if needed.owner and not owners.are_among(each.name for each in approvers):
        return f"{place}: {owners.missing}"
    return None


@dataclass(frozen=True, slots=True)
class ReviewedSteps:
    """The changes since the last apply, with the reviews of their pull requests."""

    base: str
    steps: tuple[Step, ...]
    owners: Owners = field(default_factory=Owners)

    def judge(self, subject: Subject, needed: Needed) -> Judged:
        """Return who approved every change of the subject, and what is missing."""
        judged = [
            each.judge(subject, needed, self.owners)
            for each in self.steps
            if subject.concerns(each.change)
        ]
        return _all_of(judged, self.base)


@dataclass(frozen=True, slots=True)
class SignedCommit:
    """A commit since the last apply, and who signed it."""

    commit: str
    principal: str | None
    """The name of the signer in the list of allowed signers; None without a signature that counts."""
    problem: str
    """Why its signature does not count; empty if it counts."""
    files: Files
    parents: tuple[Files, ...]
    """The files at each parent."""
    ancestors: frozenset[str]
    """The commits since the last apply that are in its history."""

    def writes(self, subject: Subject) -> bool:
        """Return whether the commit itself makes a change of the subject, and merges no other's."""
        return bool(self.parents) and all(
            subject.concerns(FilesChange(parent, self.files))
            and not subject.is_same(parent, self.files)
            for parent in self.parents
        )


@dataclass(frozen=True, slots=True)
class SignedCommits:
    """The commits since the last apply, with their signatures by keys that the base lists."""

    base: str
    commits: tuple[SignedCommit, ...]
    head: Files
    owners: Owners = field(default_factory=Owners)

    def judge(self, subject: Subject, needed: Needed) -> Judged:
        """Return who signed the subject's change after its authors, and what is missing.

        An author is known by a signature alone: each person can write each name into a commit.
        """
        written = [each for each in self.commits if each.writes(subject)]
        unsigned = [each for each in written if each.principal is None]
        if not written or unsigned:
            problems = [
                f"{short_commit(each.commit)}, which makes the change, {each.problem}, so its author "
                "is not known"
                for each in unsigned
            ]
            return _all_of([Judged((), each) for each in problems], self.base)
        authors = {each.principal for each in written}
        commits = {each.commit for each in written}
        found: dict[str, Approver] = {}
        left_out: dict[str, None] = {}
        for each in self.commits:
            if each in written:
                continue
            why = self._why_not(each, subject, authors, commits)
            if why is None and each.principal is not None:
                place = short_commit(each.commit)
                found.setdefault(each.principal, Approver(each.principal, place))
            elif why is not None:
                left_out[f"{short_commit(each.commit)} {why}"] = None
        if len(authors) == 1:
            left_out[f"{next(iter(authors))} is the author"] = None
        approvers = tuple(found.values())
        reason = missing("the change", approvers, left_out, needed, self.owners)
        return Judged(approvers, reason)

    def _why_not(
        self,
        commit: SignedCommit,
        subject: Subject,
        authors: set[str | None],
        written: set[str],
    ) -> str | None:
        if commit.principal is None:
            return commit.problem
        if commit.principal in authors:
            return f"is signed by {commit.principal}, an author of the change"
        if not written <= commit.ancestors:
            return "does not have the whole change in its history"
        if not subject.is_reviewed(
            FilesChange(self.head, commit.files), FilesChange(self.head, self.head)
        ):
            return "has another content of the file"
        return None


def _all_of(judged: list[Judged], base: str) -> Judged:
    """Return what is known of all steps together; each needs its approvals."""
    approvers = tuple(dict.fromkeys(each for one in judged for each in one.approvers))
    if not judged:
        return Judged((), f"no commit since {short_commit(base)} makes this change")
    reasons = tuple(each.missing for each in judged if each.missing is not None)
    return Judged(approvers, "; ".join(reasons) or None)
