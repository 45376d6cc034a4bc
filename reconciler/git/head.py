"""The commit of a file, and the file at a commit: read, never changed."""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from reconciler.errors import SetupInvalid
from reconciler.git.command import GitFailed
from reconciler.git.repository import NoRepository, Repository, literally
from reconciler.rollout_file.file_content import MAX_BYTES, MAX_MEBIBYTES
from reconciler.wording import short_commit

_COMMIT: Final = re.compile("HEAD|[0-9a-f]{40}|[0-9a-f]{64}")
_REGULAR: Final = frozenset({"100644", "100755"})


@dataclass(frozen=True, slots=True)
class Head:
    """The checked-out commit of a file's repository."""

    commit: str | None
    """None in a repository without a commit."""
    subject: str | None
    """The first line of the newest commit up to this one that changed the file.

    None without one, or if the clone is too shallow to show it.
    """
    uncommitted: bool
    """Whether the file has uncommitted changes, or is not in this commit."""


def read_head(file: Path) -> Head | None:
    """Return the commit around a file; None if there is no repository.

    Raises:
        SetupInvalid: there is a repository, but git cannot read it or is missing.
    """
    try:
        repository = Repository.around(file)
    except NoRepository:
        return None
    try:
        commit = repository.git.rev_parse("--verify", "HEAD")
        subject = _newest_subject(repository, commit, file)
        uncommitted = bool(changes_of(repository, file))
    except GitFailed as failure:
        if _has_no_commit_yet(failure.messages):
            return Head(commit=None, subject=None, uncommitted=True)
        raise SetupInvalid(f"git cannot read the repository around {file}: {failure}") from None
    return Head(commit=commit, subject=subject, uncommitted=uncommitted)


def _newest_subject(repository: Repository, commit: str, file: Path) -> str | None:
    path = literally(repository.path_of(file))
    found = repository.git.log("-1", "--format=%P%x00%s", commit, "--", path)
    parents, _, subject = str(found).partition("\0")
    if not parents and repository.is_shallow():
        # The oldest commit of a shallow clone looks as if it added every file.
        return None
    return subject.strip() or None


def changes_of(repository: Repository, file: Path) -> str:
    """Return git's status of a file: empty if HEAD has the file unchanged."""
    path = repository.path_of(file)
    status = repository.git.status(
        "--porcelain", "--ignored", "--untracked-files=all", "--", literally(path)
    )
    if not status and is_overlooked(repository, file) and _differs(repository, file, path):
        return f" M {path}"
    return str(status)


def is_overlooked(repository: Repository, file: Path) -> bool:
    """Return whether git is set to overlook changes of a file: `assume-unchanged`, `skip-worktree`."""
    listed = repository.git.ls_files("-v", "-z", "--", literally(repository.path_of(file)))
    return bool(listed) and (listed[0] == "S" or listed[0].islower())


def _differs(repository: Repository, file: Path, path: str) -> bool:
    """Return whether HEAD has another file, after the conversions of line ends that git makes."""
    if not file.is_file():
        return True
    written = repository.git.hash_object(f"--path={path}", "--", str(file))
    return bool(written != repository.git.rev_parse("--verify", "--quiet", f"HEAD:{path}"))


def content_at(file: Path, commit: str) -> bytes | None:
    """Return the content of a file at a commit; None if the commit does not have the file.

    Args:
        file: a file in a checkout.
        commit: its full name, or HEAD.

    Raises:
        SetupInvalid: that is not a commit, the clone lacks it, the file was a symlink, or it is larger
            than a rollout file may be.
    """
    if not _COMMIT.fullmatch(commit):
        raise SetupInvalid(f"{commit!r} is not a commit; give its full name")
    repository = Repository.around(file.absolute())
    if commit != "HEAD" and not repository.has_commit(commit):
        raise SetupInvalid(
            f"this clone has no commit {short_commit(commit)}; "
            "fetch all of it (on GitHub: fetch-depth: 0)"
        )
    return file_at(repository, commit, repository.path_of(file.absolute()))


def file_at(repository: Repository, commit: str, path: str) -> bytes | None:
    """Return the file at a path of a commit; None if the commit does not have it.

    Raises:
        GitFailed: the clone lacks the commit or the file, and cannot fetch them.
        SetupInvalid: it is not a regular file, or larger than a rollout file may be.
    """
    shown = f"{PurePosixPath(path).name} at {short_commit(commit)}"
    listed = repository.git.ls_tree(commit, "--", literally(path))
    if not listed:
        return None
    mode, _, blob = listed.partition("\t")[0].split()
    if mode not in _REGULAR:
        raise SetupInvalid(f"{shown} is not a regular file")
    return read_blob(repository, blob, shown)


def read_blob(repository: Repository, blob: str, shown: str) -> bytes:
    """Return the content of a blob; `shown` names the file in messages.

    Raises:
        SetupInvalid: it is larger than a rollout file may be.
    """
    if int(repository.git.cat_file("-s", blob)) > MAX_BYTES:
        raise SetupInvalid(f"{shown} is larger than {MAX_MEBIBYTES} MiB; write less into it")
    content = repository.git.cat_file(
        "blob", blob, stdout_as_string=False, strip_newline_in_stdout=False
    )
    return bytes(content)


def _has_no_commit_yet(message: str) -> bool:
    """Return whether git failed only because there is no commit, by its message in the C locale."""
    return "Needed a single revision" in message
