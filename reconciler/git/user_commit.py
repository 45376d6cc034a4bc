"""Committing one file in the checkout that a person works in, and pushing their branch.

The commit is the person's: their name, their signature where they sign, their words whole. What else is
staged or changed stays as it is. Hooks do not run, here as anywhere: what a repository brings runs nothing.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.errors import SetupInvalid
from reconciler.git.command import GitFailed, git

PUSH_TIMEOUT_SECONDS: Final = 60

_OF_THE_PERSON: Final = (
    "GIT_AUTHOR_NAME",
    "GIT_AUTHOR_EMAIL",
    "GIT_COMMITTER_NAME",
    "GIT_COMMITTER_EMAIL",
    "EMAIL",
    "GNUPGHOME",
    "GPG_TTY",
)
_NEW: Final = ("??", "!!")
_FALLBACK_REMOTE: Final = "origin"


@dataclass(frozen=True, slots=True)
class Branch:
    """The branch checked out, and the remote that it goes to under its own name."""

    name: str
    remote: str

    @property
    def shown(self) -> str:
        """The branch there, as people write it."""
        return f"{self.remote}/{self.name}"


def require_repository(file: Path) -> None:
    """Raise `SetupInvalid` unless there is a repository around the file."""
    try:
        git(_folder(file), "rev-parse", "--show-toplevel")
    except FileNotFoundError:
        raise SetupInvalid(f"there is no git here to commit {file} with") from None
    except GitFailed as failure:
        raise SetupInvalid(f"{file} can't be committed: {_first_line(failure)}") from None


def find_branch(file: Path) -> Branch:
    """Return the branch around a file, and its remote: that of its upstream, else `origin`.

    Raises:
        SetupInvalid: there is no repository, no branch is checked out, or there is no such remote.
    """
    require_repository(file)
    folder = _folder(file)
    try:
        head = git(folder, "symbolic-ref", "--quiet", "HEAD").strip()
    except GitFailed:
        raise SetupInvalid("no branch is checked out to push; check one out") from None
    upstream = git(folder, "for-each-ref", "--format=%(upstream:remotename)", head).strip()
    remote = upstream if upstream not in {"", "."} else _FALLBACK_REMOTE
    if remote not in git(folder, "remote").splitlines():
        raise SetupInvalid(f"there is no remote called {remote} to push to; add it: git remote add")
    return Branch(head.removeprefix("refs/heads/"), remote)


def is_changed(file: Path) -> bool:
    """Tell whether HEAD has a file otherwise than it is now, or not at all."""
    return bool(_status(file))


def commit_file(file: Path, message: str) -> str | None:
    """Commit a file as it is now, and nothing else; return the commit, or None where HEAD has it so.

    Raises:
        SetupInvalid: git refuses to.
    """
    folder, name = _folder(file), _literally(file)
    environment = {each: os.environ[each] for each in _OF_THE_PERSON if each in os.environ}
    try:
        status = _status(file)
        if not status:
            return None
        if status.startswith(_NEW):
            git(folder, "add", "--", name)
        git(
            folder,
            "-c",
            "i18n.commitEncoding=UTF-8",
            "commit",
            "--quiet",
            "--only",
            "--cleanup=verbatim",
            "--file=-",
            "--",
            name,
            stdin=f"{message}\n".encode(errors="backslashreplace"),
            environment=environment,
        )
        return git(folder, "rev-parse", "HEAD").strip()
    except GitFailed as failure:
        raise SetupInvalid(
            f"{file} is edited, but not committed: {_first_line(failure)}; "
            "set that right, and commit it"
        ) from None


def push_branch(file: Path, branch: Branch) -> None:
    """Push a branch to its remote under its own name, never forced.

    Raises:
        SetupInvalid: the remote does not answer, or does not take it.
    """
    ref = f"refs/heads/{branch.name}"
    try:
        git(
            _folder(file),
            "push",
            "--quiet",
            "--no-recurse-submodules",
            "--",
            branch.remote,
            f"{ref}:{ref}",
            timeout_seconds=PUSH_TIMEOUT_SECONDS,
        )
    except GitFailed as failure:
        raise SetupInvalid(
            f"{file} is committed, but not pushed to {branch.shown}: {_refusal(failure)}; "
            "set that right, and push it: git push"
        ) from None


def _status(file: Path) -> str:
    return git(
        _folder(file),
        "status",
        "--porcelain",
        "--ignored",
        "--untracked-files=all",
        "--",
        _literally(file),
    )


def _literally(file: Path) -> str:
    return f":(literal){file.name}"


def _folder(file: Path) -> Path:
    return file.absolute().parent


def _first_line(failure: GitFailed) -> str:
    return str(failure).strip().partition("\n")[0].removeprefix("fatal: ")


def _refusal(failure: GitFailed) -> str:
    """Return the line that tells why, which git writes behind its hints and what the remote says."""
    lines = [line.strip() for line in str(failure).splitlines()]
    refused = next((line for line in lines if line.startswith("! ")), None)
    return _first_line(failure) if refused is None else " ".join(refused[2:].split())
