"""The relation of two commits, and the messages of the commits between them.

The answers come from the history of the clone. A shallow clone lacks a part of it: if that part
could change an answer, the question is refused.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Final

from reconciler.errors import SetupInvalid
from reconciler.git.command import GitFailed
from reconciler.git.file_history import names_of
from reconciler.git.head import file_at
from reconciler.git.repository import Repository, literally
from reconciler.wording import short_commit

_COMMIT: Final = re.compile("HEAD|[0-9a-f]{40}|[0-9a-f]{64}")


class Relation(Enum):
    """The relation of the checked-out commit to the applied one."""

    SAME = auto()
    AHEAD = auto()
    """It descends from the applied one."""
    BEHIND = auto()
    """The applied one descends from it: a newer commit is applied already."""
    DIVERGED = auto()
    """Each has commits that the other lacks, and the rollout's branch has the applied one."""
    APART = auto()
    """Neither descends from the other: history was rewritten, or this is another repository."""
    UNKNOWN = auto()
    """The clone does not have the applied one: it is newer than the last fetch, or history was rewritten."""


def relate(file: Path, applied: str, head: str) -> Relation:
    """Return the relation of `head` to the commit `applied`, in the clone around a file.

    Raises:
        SetupInvalid: the clone is shallow, and the missing part could change the answer.
    """
    if applied == head:
        return Relation.SAME
    repository = Repository.around(file)
    is_known = repository.has_commit(applied)
    if is_known:
        if repository.is_ancestor(applied, head):
            return Relation.AHEAD
        if repository.is_ancestor(head, applied):
            return Relation.BEHIND
    refuse_shallow(
        repository, f"whether this commit is newer than the applied {short_commit(applied)}"
    )
    return Relation.APART if is_known else Relation.UNKNOWN


def merge_base(file: Path, commit: str, other: str) -> str | None:
    """Return the newest commit that two commits have in common, by full name; None without one.

    Args:
        file: a file in a clone of both.
        commit: the full name of a commit, or HEAD.
        other: the same.

    Raises:
        SetupInvalid: a name is not a commit, or the clone lacks a commit that the answer needs.
    """
    for each in (commit, other):
        if not _COMMIT.fullmatch(each):
            raise SetupInvalid(f"{each!r} is not a commit; give its full name")
    repository = Repository.around(file)
    try:
        return str(repository.git.merge_base(commit, other)).strip()
    except GitFailed as failure:
        if failure.exit_code != 1:
            raise SetupInvalid(
                f"this clone has no commit {short_commit(commit)}; "
                "fetch all of it (on GitHub: fetch-depth: 0)"
            ) from failure
    refuse_shallow(repository, "which commit both have in common")
    return None


def refuse_shallow(repository: Repository, question: str) -> None:
    """Raise `SetupInvalid` if the clone lacks the history that a question needs."""
    if repository.is_shallow():
        raise SetupInvalid(
            f"this clone is shallow, so git does not show {question}; "
            "fetch all of it (on GitHub: fetch-depth: 0)"
        )


@dataclass(frozen=True, slots=True)
class FileChange:
    """A commit, its message, and the file before and after it; None if the file does not exist."""

    commit: str
    message: str
    before: bytes | None
    after: bytes | None
    later: tuple[bytes | None, ...]
    """The file at each later commit that changed it and has this one in its history."""


def changes_with(file: Path, words: str, applied: str | None, head: str) -> tuple[FileChange, ...]:
    """Return the commits after `applied` up to `head` whose message has words in any case, newest first.

    If no commit is applied, or the applied one is not in this history, only `head` is read.

    Raises:
        SetupInvalid: the clone lacks what one of these commits changed.
    """
    repository = Repository.around(file)
    is_known = applied is not None and repository.has_commit(applied)
    listed = repository.git.log(
        "-z",
        "--format=%H%n%P%n%B",
        "--encoding=UTF-8",
        "--regexp-ignore-case",
        "--fixed-strings",
        f"--grep={words}",
        f"{applied}..{head}" if is_known else f"{head}^!",
    )
    entries = [entry.split("\n", 2) for entry in listed.split("\0") if entry]
    if not entries:
        return ()
    for commit, parents, _ in entries:
        if not parents:
            # The oldest commits of a shallow clone look as if they added every file.
            refuse_shallow(repository, f"what {short_commit(commit)} changed")
    names = names_of(repository, head, repository.path_of(file))
    return tuple(
        FileChange(
            commit,
            message,
            content_at(repository, parents.split(" ")[0], names),
            content_at(repository, commit, names),
            tuple(
                content_at(repository, each, names)
                for each in _descendants(repository, commit, head, names)
            ),
        )
        for commit, parents, message in entries
    )


def _descendants(
    repository: Repository, commit: str, head: str, names: tuple[str, ...]
) -> list[str]:
    """Return the commits up to `head` that descend from a commit and changed the file."""
    paths = [literally(each) for each in names]
    found = repository.git.log("--format=%H", "--ancestry-path", f"{commit}..{head}", "--", *paths)
    return str(found).split()


def content_at(repository: Repository, commit: str, names: tuple[str, ...]) -> bytes | None:
    """Return the file at a commit, by the newest of its names that the commit has.

    None if the commit has no file of these names, or something that no rollout file can be.

    Raises:
        SetupInvalid: the clone lacks the file, and cannot fetch it.
    """
    if not commit:
        return None
    for name in names:
        try:
            found = file_at(repository, commit, name)
        except SetupInvalid:
            # A symlink, a folder, or a file that is too large.
            return None
        except GitFailed as failure:
            raise SetupInvalid(
                f"git cannot read {name} at {short_commit(commit)}: {failure}"
            ) from None
        if found is not None:
            return found
    return None
