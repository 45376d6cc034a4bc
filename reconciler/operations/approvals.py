"""The proofs of approvals: commits signed by keys that the last applied commit lists.

The files that say who may approve are read at the last applied commit, so a change adds no approver of its
own. A forge with reviews has its own source.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from reconciler.errors import FileInvalid, ReconcilerError, SetupInvalid, Unavailable
from reconciler.operations.commits import file_of
from reconciler.planning.approval_evidence import (
    Evidence,
    NoEvidence,
    Owners,
    SignedCommit,
    SignedCommits,
)
from reconciler.planning.approval_subjects import Files
from reconciler.planning.approvals import ApprovalSource
from reconciler.planning.code_owners import MAX_BYTES, PLACES, owners_of
from reconciler.planning.plan_inputs import Source
from reconciler.wording import short_commit

if TYPE_CHECKING:
    from reconciler.git.file_steps import FileRange
    from reconciler.rollout_file.model import Rollout

SIGNERS_NAME: Final = "allowed_signers"
"""The list of keys, in the folder of the rollout file."""

_NO_COMMIT: Final = NoEvidence("the file has no commit; commit it")
_NOT_COMMITTED: Final = NoEvidence("the file has changes that are not committed; commit them")
_NO_BASE: Final = NoEvidence("the last apply has no commit with which to compare")
_REWRITTEN: Final = NoEvidence("this commit does not descend from the last applied one")


@dataclass(frozen=True)
class History:
    """The files that decide about approvals, from the last applied commit to the source's."""

    range: "FileRange"
    read: dict[str, Files] = field(default_factory=dict)

    @property
    def trusted(self) -> tuple[str, ...]:
        """The paths of the files that say who may approve."""
        folders = dict.fromkeys(PurePosixPath(each).parent for each in self.range.names)
        return (*(str(each / SIGNERS_NAME) for each in folders), *PLACES)

    def files_at(self, commit: str) -> Files:
        """Return the files at a commit of this clone."""
        if commit not in self.read:
            self.read[commit] = Files(
                parse(self.range.content_at(commit, *self.range.names)),
                {path: self._trusted_at(commit, path) for path in self.trusted},
            )
        return self.read[commit]

    def _trusted_at(self, commit: str, path: str) -> bytes | None:
        try:
            return self.range.content_at(commit, path)
        except SetupInvalid:
            # It is a link, not a list of keys: it differs from each file.
            return b"\0"

    @property
    def base(self) -> Files:
        """The files at the last applied commit."""
        return self.files_at(self.range.base)

    @property
    def signers(self) -> bytes | None:
        """The list of keys at the last applied commit, beside the file as it was there."""
        name = next(
            (
                each
                for each in self.range.names
                if self.range.content_at(self.range.base, each) is not None
            ),
            self.range.names[0],
        )
        return self.base.others[str(PurePosixPath(name).parent / SIGNERS_NAME)]

    @property
    def listed_owners(self) -> tuple[str, ...]:
        """The owners of the file by CODEOWNERS at the last applied commit."""
        content = next(
            (each for path in PLACES if (each := self.base.others[path]) is not None), b""
        )
        if len(content) > MAX_BYTES:
            return ()
        return owners_of(self.range.names[0], content.decode("utf-8", "replace"))

    def changed_trust(self, *, with_owners: bool) -> Iterator[str]:
        """Yield the files that say who may approve, and that differ since the last apply."""
        head = self.files_at(self.range.head)
        for path, content in self.base.others.items():
            if content != head.others[path] and (with_owners or path not in PLACES):
                yield path


def find_history(source: Source, base: str | None) -> History | NoEvidence:
    """Return the history since the last apply, or why it proves nothing.

    Raises:
        SetupInvalid: the clone is shallow, or git cannot read it.
    """
    if source.commit is None:
        return _NO_COMMIT
    if base is None:
        return _NO_BASE
    from reconciler.git.file_steps import FileRange

    found = FileRange.around(file_of(source), base, source.commit)
    return _REWRITTEN if found is None else History(found)


def find_committed(source: Source, base: str | None) -> History | NoEvidence:
    """Return the history of a file without local changes, or why it proves nothing.

    Raises:
        SetupInvalid: the clone is shallow, or git cannot read it.
    """
    return _NOT_COMMITTED if source.uncommitted else find_history(source, base)


def parse(content: bytes | None) -> "Rollout | None":
    """Return a rollout file's content as values; None if there is none, or no valid one."""
    from reconciler.rollout_file import parse_rollout

    try:
        return None if content is None else parse_rollout(content).rollout
    except FileInvalid:
        return None


@dataclass(frozen=True, slots=True)
class SignedCommitSource:
    """Commits signed by keys that the last applied commit lists."""

    def read_evidence(self, source: Source, base: str | None, *, with_owners: bool) -> Evidence:
        """Return the signatures of the commits since the last apply."""
        history = find_committed(source, base)
        if isinstance(history, NoEvidence):
            return history
        signers = history.signers
        if signers is None:
            return NoEvidence(
                f"{short_commit(history.range.base)}, the last applied commit, has no {SIGNERS_NAME} "
                "beside the file; on GitHub, reconcile github apply asks for reviews"
            )
        from reconciler.git.signatures import verify_commits

        commits = history.range.all_commits()
        signatures = verify_commits(
            history.range.repository, tuple(each.commit for each in commits), signers
        )
        begin = history.range.time_of(history.range.base)
        ancestors: dict[str, frozenset[str]] = {}
        signed = []
        for each in commits:
            ancestors[each.commit] = frozenset(each.parents).union(
                *(ancestors.get(parent, ()) for parent in each.parents)
            )
            found = signatures[each.commit]
            is_early = found.principal is not None and each.time < begin
            signed.append(
                SignedCommit(
                    each.commit,
                    None if is_early else found.principal,
                    "is dated before the last applied commit" if is_early else found.problem,
                    history.files_at(each.commit),
                    tuple(map(history.files_at, each.parents)),
                    ancestors[each.commit],
                )
            )
        head = history.files_at(history.range.head)
        owners = _owners(history.listed_owners) if with_owners else Owners()
        return SignedCommits(history.range.base, tuple(signed), head, owners)


def _owners(listed: Iterable[str]) -> Owners:
    """Return the owners whose names a list of signers can have: email addresses and logins."""
    listed = tuple(listed)
    teams = {each: "a signature shows no teams" for each in listed if "/" in each}
    people = {each.lower() for each in listed if each not in teams}
    return Owners(listed, frozenset(people | {each.removeprefix("@") for each in people}), teams)


@dataclass(frozen=True)
class AskedOnce:
    """A source that is asked once; a source that fails proves nothing."""

    source: ApprovalSource
    answers: dict[tuple[str | None, str | None, bool], Evidence] = field(default_factory=dict)

    def read_evidence(self, source: Source, base: str | None, *, with_owners: bool) -> Evidence:
        """Return the answer of the first request."""
        asked = (source.commit, base, with_owners)
        if asked not in self.answers:
            self.answers[asked] = self._ask(source, base, with_owners=with_owners)
        return self.answers[asked]

    def _ask(self, source: Source, base: str | None, *, with_owners: bool) -> Evidence:
        try:
            return self.source.read_evidence(source, base, with_owners=with_owners)
        except Unavailable as failure:
            return NoEvidence(
                f"{failure}; the next run asks again; to stop a feature now: reconcile stop",
                waits=True,
            )
        except ReconcilerError as failure:
            return NoEvidence(str(failure))


class MustAsk(Exception):
    """A transaction needs an answer about approvals, and must not wait for it."""

    def __init__(self, base: str | None, *, with_owners: bool) -> None:
        super().__init__()
        self.base = base
        self.with_owners = with_owners


@dataclass(frozen=True)
class KnownAnswers:
    """The answers of a source that is asked outside of a transaction."""

    answers: dict[tuple[str | None, str | None, bool], Evidence]

    def read_evidence(self, source: Source, base: str | None, *, with_owners: bool) -> Evidence:
        """Return a known answer.

        Raises:
            MustAsk: the source was not asked yet.
        """
        known = self.answers.get((source.commit, base, with_owners))
        if known is None:
            raise MustAsk(base, with_owners=with_owners)
        return known


def changed_trust(history: History | NoEvidence, *, with_owners: bool) -> tuple[str, ...]:
    """Return the files that say who may approve, and that changed since the last apply, or may have."""
    if isinstance(history, NoEvidence):
        return (SIGNERS_NAME,) if history is _REWRITTEN else ()
    return tuple(history.changed_trust(with_owners=with_owners))


def base_rollout(history: History | NoEvidence) -> "Rollout | None":
    """Return what the file declares at the last applied commit; None if that is not known."""
    return None if isinstance(history, NoEvidence) else history.base.rollout
