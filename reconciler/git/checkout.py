"""The checkout around a file: the file's place in the repository, its branch, and its remotes.

The checkout is read and never changed. Text from people or from the repository's configuration is
checked before git gets it as an argument.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from reconciler.errors import NotFound, ReconcilerError, SetupInvalid
from reconciler.git.command import GitFailed
from reconciler.git.repository import NoRepository, Repository

FALLBACK_REMOTE: Final = "origin"

_OF_A_REMOTE: Final = frozenset(
    {"url", "pushurl", "proxy", "proxyauthmethod", "uploadpack", "receivepack"}
)
"""The part of a remote's configuration that connecting to it needs, without the targets of a fetch."""


class CannotWriteBack(ReconcilerError):
    """Nothing can be written back now: the overrides stay in force, and pending."""


@dataclass(frozen=True, slots=True)
class Remote:
    """A remote by its name, with the configuration for connecting: key and value, in order."""

    name: str
    settings: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Upstream:
    """The branch of a remote that a branch follows."""

    remote: str
    branch: str


@dataclass(frozen=True, slots=True)
class Checkout:
    """The place of a file in the repository around it."""

    file: Path
    path: PurePosixPath
    """The path of the file from the repository's root."""
    repository: Repository
    objects: Path
    """The repository's store of objects."""
    remotes: Mapping[str, Remote]
    branch: str | None
    """The checked-out branch."""
    upstream: Upstream | None
    """The upstream of that branch."""

    def choose_remote(self, name: str | None) -> Remote:
        """Return the requested remote; else that of the upstream, else `origin`.

        Raises:
            NotFound: no remote has the requested name.
            CannotWriteBack: no name is requested, and there is no such remote.
        """
        if name is not None and name not in self.remotes:
            known = ", ".join(sorted(self.remotes)) or "none"
            raise NotFound(f"no remote is called {name!r}; there are: {known}")
        chosen = name or (FALLBACK_REMOTE if self.upstream is None else self.upstream.remote)
        if chosen not in self.remotes:
            raise CannotWriteBack(
                f"the repository around {self.file} has no remote called {chosen}"
            )
        return self.remotes[chosen]


def find_checkout(file: Path) -> Checkout:
    """Return the checkout around a file.

    Raises:
        CannotWriteBack: there is no git or no repository, git cannot read it, the clone is shallow, or the
            file is below a symlink.
    """
    file = Path(os.path.abspath(file))  # noqa: PTH100 - a symlink is to be seen, not followed
    try:
        repository = Repository.around(file)
        if repository.is_shallow():
            raise CannotWriteBack(
                "this clone is shallow, so git does not show what was in the file before; "
                "fetch all of it (on GitHub: fetch-depth: 0)"
            )
        objects = repository.git.rev_parse("--path-format=absolute", "--git-path", "objects")
    except NoRepository:
        raise CannotWriteBack(f"there is no repository around {file} to write to") from None
    except (SetupInvalid, GitFailed) as problem:
        raise CannotWriteBack(str(problem)) from None
    path = PurePosixPath(repository.path_of(file))
    _refuse_symlink_above(file, repository.top, path)
    head = read_branch_ref(repository)
    return Checkout(
        file=file,
        path=path,
        repository=repository,
        objects=Path(objects),
        remotes=_read_remotes(repository),
        branch=None if head is None else head.removeprefix("refs/heads/"),
        upstream=None if head is None else read_upstream(repository, head),
    )


def read_branch_ref(repository: Repository) -> str | None:
    """Return the ref of the checked-out branch; None if HEAD is detached."""
    try:
        return str(repository.git.symbolic_ref("--quiet", "HEAD"))
    except GitFailed:
        return None


def read_upstream(repository: Repository, ref: str) -> Upstream | None:
    """Return the upstream of a ref's branch; None if it has none."""
    found = repository.git.for_each_ref(
        "--format=%(upstream:remotename)%00%(upstream:remoteref)", ref
    )
    remote, _, followed = found.partition("\0")
    branch = followed.removeprefix("refs/heads/")
    # A branch that follows another branch of this repository has no remote.
    return Upstream(remote, branch) if remote not in {"", "."} and branch != followed else None


def check_branch(repository: Repository, name: str) -> str:
    """Return the name of a branch, after a check that git reads it only as a name.

    Raises:
        SetupInvalid: it is not the name of a branch.
    """
    try:
        if name.startswith("-"):
            raise SetupInvalid(f"{name!r} is not a branch's name; name one with --branch")
        repository.git.check_ref_format(f"refs/heads/{name}")
    except (GitFailed, ValueError):
        raise SetupInvalid(f"{name!r} is not a branch's name; name one with --branch") from None
    return name


def _refuse_symlink_above(file: Path, top: Path, path: PurePosixPath) -> None:
    """Refuse a file that a symlink moves to another place in the checkout."""
    for parent in file.parents:
        if parent.resolve() == top:
            if file.relative_to(parent).as_posix() != path.as_posix():
                raise CannotWriteBack(f"{file} is below a symlink, which is not followed")
            return


def _read_remotes(repository: Repository) -> Mapping[str, Remote]:
    try:
        listed = repository.git.config("--null", "--get-regexp", r"^remote\..+\.")
    except GitFailed:
        return {}
    found: dict[str, list[tuple[str, str]]] = {}
    for entry in listed.split("\0")[:-1]:
        key, _, value = entry.partition("\n")
        name, _, setting = key.removeprefix("remote.").rpartition(".")
        if setting in _OF_A_REMOTE:
            found.setdefault(name, []).append((setting, value))
    return {
        name: Remote(name, tuple(settings))
        for name, settings in found.items()
        if any(setting == "url" for setting, _ in settings)
    }
