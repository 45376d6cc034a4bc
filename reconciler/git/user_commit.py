"""Work in a person's checkout: commit one file, push the branch, follow its upstream.

The commit is the person's: their name, their signature if they sign, and their whole message. Other
staged or changed files stay unchanged. Hooks do not run, as everywhere: the content of a repository
runs nothing.
"""

import os
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

from reconciler.errors import ReconcilerError, SetupInvalid
from reconciler.git.checkout import FALLBACK_REMOTE, read_branch_ref, read_upstream
from reconciler.git.command import SIGNING_VARIABLES, GitFailed, RestrictedGit
from reconciler.git.head import changes_of, is_overlooked
from reconciler.git.refusal import refusal_reason
from reconciler.git.repository import Repository, literally

NETWORK_TIMEOUT_SECONDS: Final = 60

_OF_THE_PERSON: Final = (
    "GIT_AUTHOR_NAME",
    "GIT_AUTHOR_EMAIL",
    "GIT_COMMITTER_NAME",
    "GIT_COMMITTER_EMAIL",
    "EMAIL",
    *SIGNING_VARIABLES,
)
_NEW: Final = ("??", "!!")


@dataclass(frozen=True, slots=True)
class Branch:
    """The checked-out branch, and the remote to which it is pushed under its own name."""

    name: str
    remote: str

    @property
    def shown(self) -> str:
        """The branch there, as people write it."""
        return f"{self.remote}/{self.name}"


def require_repository(file: Path) -> Repository:
    """Return the repository around a file.

    Raises:
        SetupInvalid: there is none, or git cannot read it.
    """
    try:
        return Repository.around(file.absolute())
    except SetupInvalid as problem:
        raise SetupInvalid(f"{file} cannot be committed: {problem}") from None


def find_branch(file: Path) -> Branch:
    """Return the branch around a file, and its remote: that of its upstream, else `origin`.

    Raises:
        SetupInvalid: there is no repository, no branch is checked out, or there is no such remote.
    """
    repository = require_repository(file)
    ref = read_branch_ref(repository)
    if ref is None:
        raise SetupInvalid("no branch is checked out to push; check one out")
    upstream = read_upstream(repository, ref)
    remote = FALLBACK_REMOTE if upstream is None else upstream.remote
    if remote not in repository.git.remote().splitlines():
        raise SetupInvalid(f"there is no remote called {remote} to push to; add it: git remote add")
    return Branch(ref.removeprefix("refs/heads/"), remote)


def user_name(file: Path) -> str | None:
    """Return git's `user.name` around a file; None if it is not set, or git is missing."""
    try:
        return (
            str(RestrictedGit(file.absolute().parent).config("--get", "user.name")).strip() or None
        )
    except (ReconcilerError, GitFailed, OSError):
        return None


def is_changed(file: Path) -> bool:
    """Return whether HEAD has a file with another content, or not at all."""
    return bool(changes_of(require_repository(file), file.absolute()))


def commit_file(file: Path, message: str) -> str | None:
    """Commit only a file, as it is now; return the commit, or None if HEAD has this content.

    Raises:
        SetupInvalid: git refuses to.
    """
    repository = require_repository(file)
    name = literally(repository.path_of(file.absolute()))
    try:
        status = changes_of(repository, file.absolute())
        if not status:
            return None
        if is_overlooked(repository, file.absolute()):
            raise SetupInvalid(
                f"{file} is edited, but not committed: git is set to overlook its changes; run "
                "`git update-index --no-assume-unchanged --no-skip-worktree` on it, and commit the file"
            )
        if status.startswith(_NEW):
            repository.git.add("--", name)
        repository.git(c="i18n.commitEncoding=UTF-8").commit(
            "--quiet",
            "--only",
            "--cleanup=verbatim",
            "--file=-",
            "--",
            name,
            istream=BytesIO(f"{message}\n".encode(errors="backslashreplace")),
            env={each: os.environ[each] for each in _OF_THE_PERSON if each in os.environ},
        )
        return str(repository.git.rev_parse("HEAD"))
    except GitFailed as failure:
        raise SetupInvalid(
            f"{file} is edited, but not committed: {failure}; correct this, and commit the file"
        ) from None


def push_branch(file: Path, branch: Branch) -> None:
    """Push a branch to its remote under its own name, never by force.

    Raises:
        SetupInvalid: the remote does not answer, or refuses.
    """
    ref = f"refs/heads/{branch.name}"
    try:
        require_repository(file).git.push(
            "--quiet",
            "--no-recurse-submodules",
            "--",
            branch.remote,
            f"{ref}:{ref}",
            kill_after_timeout=NETWORK_TIMEOUT_SECONDS,
        )
    except GitFailed as failure:
        raise SetupInvalid(
            f"{file} is committed, but not pushed to {branch.shown}: {refusal_reason(failure)}; "
            "correct this, and run: git push"
        ) from None


def follow_upstream(file: Path) -> bool:
    """Fast-forward the checked-out branch to its upstream; return whether that moved it.

    Raises:
        SetupInvalid: it has no upstream, has commits of its own, or the remote does not answer.
    """
    git = Repository.around(file.absolute()).git
    try:
        before = git.rev_parse("HEAD")
        git.pull("--quiet", "--ff-only", "--no-tags", kill_after_timeout=NETWORK_TIMEOUT_SECONDS)
        return bool(git.rev_parse("HEAD") != before)
    except GitFailed as failure:
        raise SetupInvalid(f"the checkout cannot follow its branch: {failure}") from None
