"""The repository around a file, and the commands that read it.

Objects and refs are read by git's commands, called on the repository. GitPython's own objects know
only SHA-1, its refs know only files, and both read through a process without a time limit.
"""

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from reconciler.errors import SetupInvalid
from reconciler.git.command import GitFailed, RestrictedGit
from reconciler.git.discovery import find_top
from reconciler.git.gitpython import GitError, Repo

if TYPE_CHECKING:
    from git import Commit

OLDEST_GIT: Final = (2, 38)
"""The first one that can ignore a bare repository unless it is named (`safe.bareRepository`)."""

_COMMIT: Final = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
_REMEDY: Final = re.compile(r"^\s*(git config --global --add safe\.directory .+)$", re.MULTILINE)


class NoRepository(SetupInvalid):
    """There is no repository."""


class Repository(Repo):
    """A repository that runs its commands as `RestrictedGit`, at the top of its checkout."""

    GitCommandWrapperType = RestrictedGit
    git: RestrictedGit

    @classmethod
    def around(cls, file: Path) -> Self:
        """Return the repository around a file.

        Raises:
            NoRepository: there is none.
            SetupInvalid: git cannot read it, is missing, or is too old.
        """
        top = find_top(file.parent)
        if top is None:
            raise NoRepository(f"there is no repository around {file}")
        require_supported_git()
        try:
            # From the folder of `.git`: nothing else in a working tree decides which repository is
            # used.
            repository = cls(RestrictedGit(top).rev_parse("--show-toplevel"), expand_vars=False)
        except GitFailed as failure:
            if "not a git repository (or any" in failure.messages:
                raise _nothing_found(file, top) from None
            raise SetupInvalid(
                f"git cannot read the repository around {file}: {_with_remedy(failure)}"
            ) from None
        except GitError:
            raise _working_tree_elsewhere(file) from None
        # Without the settings that GitPython takes from this process's own GIT_ variables.
        repository.git.environment().clear()
        return repository

    @property
    def top(self) -> Path:
        """The folder of the checkout."""
        return Path(str(self.working_tree_dir))

    def path_of(self, file: Path) -> str:
        """Return a file's path from the top of the checkout.

        Raises:
            SetupInvalid: the file is inside `.git`, where no commit can have it, or not in the checkout.
        """
        try:
            path = (file.parent.resolve() / file.name).relative_to(self.top)
        except ValueError:
            raise _working_tree_elsewhere(file) from None
        if ".git" in path.parts:
            raise SetupInvalid(f"{file} is inside .git, where no commit can have it; move it")
        return path.as_posix()

    def has_commit(self, name: str) -> bool:
        """Return whether the repository has a commit with this full name."""
        # The name may come from the database: git gets nothing but a commit's name.
        if not _COMMIT.fullmatch(name):
            return False
        try:
            self.git.cat_file("-e", f"{name}^{{commit}}")
        except GitFailed:
            return False
        return True

    def is_ancestor(self, ancestor_rev: "Commit | str", rev: "Commit | str") -> bool:
        """Return whether a commit, or the commit with this name, is in the history of another."""
        return super().is_ancestor(ancestor_rev, rev)  # type: ignore[arg-type] # a name does as well

    def is_shallow(self) -> bool:
        """Return whether the clone lacks the older part of its history."""
        return bool(self.git.rev_parse("--is-shallow-repository") == "true")


def literally(path: str) -> str:
    """Return a path as a literal pattern for git."""
    return f":(literal){path}"


@cache
def require_supported_git() -> None:
    """Raise `SetupInvalid` if git is missing or older than `OLDEST_GIT`."""
    shown = RestrictedGit().version()
    found = re.search(r"(\d+)\.(\d+)", shown)
    if found is None or (int(found[1]), int(found[2])) < OLDEST_GIT:
        oldest = ".".join(map(str, OLDEST_GIT))
        raise SetupInvalid(f"{shown or 'this git'} is too old; install git {oldest} or newer")


def _nothing_found(file: Path, top: Path) -> SetupInvalid:
    """Return the error for a folder `.git` in which git finds no repository.

    Only an empty one means that there is none. In another one a file is missing, damaged or unreadable:
    outside of git, an older file would be applied over a newer commit.
    """
    folder = top / ".git"
    try:
        is_empty = next(folder.iterdir(), None) is None
    except OSError:
        is_empty = False
    if is_empty:
        return NoRepository(f"there is no repository around {file}")
    return SetupInvalid(
        f"git finds no repository in {folder}: a part of it is missing, damaged or not readable for this "
        "user; repair it, or clone again"
    )


def _working_tree_elsewhere(file: Path) -> SetupInvalid:
    return SetupInvalid(
        f"the repository around {file} has its working tree in another folder; "
        "use a checkout of its own"
    )


def _with_remedy(failure: GitFailed) -> str:
    """Return git's message, with the command that git suggests if another user owns the repository."""
    remedy = _REMEDY.search(failure.messages)
    return str(failure) if remedy is None else f"{failure}; run: {remedy[1]}"
