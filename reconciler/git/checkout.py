"""The checkout around a file: where in the repository the file is, and which remotes there are.

Read, never changed. What comes from people or the repository's configuration is checked before git gets
it as an argument.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from reconciler.errors import NotFound, ReconcilerError, SetupInvalid
from reconciler.git.command import GitFailed, git

FALLBACK_REMOTE: Final = "origin"

_OF_A_REMOTE: Final = frozenset(
    {"url", "pushurl", "proxy", "proxyauthmethod", "uploadpack", "receivepack"}
)
"""What of a remote's configuration reaching it needs; what it is fetched into is not among it."""


class CannotWriteBack(ReconcilerError):
    """Nothing can be carried into git now: what is in force stays in force, and pending."""


@dataclass(frozen=True, slots=True)
class Remote:
    """A remote by its name, with the configuration that reaching it needs: key and value, in order."""

    name: str
    settings: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Checkout:
    """Where a file is in the repository around it."""

    file: Path
    path: PurePosixPath
    """The file in the repository, from its root."""
    objects: Path
    """The repository's store of objects."""
    remotes: Mapping[str, Remote]
    branch: str | None
    """The branch checked out."""
    upstream: tuple[str, str] | None
    """The remote and the branch that it follows."""

    @property
    def folder(self) -> Path:
        """Where git commands run."""
        return self.file.parent

    def choose_remote(self, name: str | None) -> Remote:
        """Return the remote asked for; else that of the upstream, else `origin`.

        Raises:
            NotFound: none has the name asked for.
            CannotWriteBack: none is asked for, and there is none to take.
        """
        if name is not None and name not in self.remotes:
            known = ", ".join(sorted(self.remotes)) or "none"
            raise NotFound(f"no remote is called {name!r}; there are: {known}")
        chosen = name or (FALLBACK_REMOTE if self.upstream is None else self.upstream[0])
        if chosen not in self.remotes:
            raise CannotWriteBack(
                f"the repository around {self.file} has no remote called {chosen}"
            )
        return self.remotes[chosen]


def find_checkout(file: Path) -> Checkout:
    """Return the checkout around a file.

    Raises:
        CannotWriteBack: there is no git or no repository, the clone is shallow, or the file is below a
            symlink.
    """
    file = Path(os.path.abspath(file))  # noqa: PTH100 - a symlink is to be seen, not followed
    try:
        root, is_shallow, objects, prefix = git(
            file.parent,
            "rev-parse",
            "--path-format=absolute",
            "--show-toplevel",
            "--is-shallow-repository",
            "--git-path",
            "objects",
            "--show-prefix",
        ).split("\n")[:4]
    except (FileNotFoundError, PermissionError):
        raise CannotWriteBack("there is no git here") from None
    except GitFailed as failure:
        first_line = str(failure).partition("\n")[0]
        raise CannotWriteBack(
            f"there is no repository around {file} to write to: {first_line}"
        ) from None
    if is_shallow == "true":
        raise CannotWriteBack(
            "this clone is shallow, so it cannot tell what was in the file before; "
            "fetch all of it (on GitHub: fetch-depth: 0)"
        )
    path = PurePosixPath(prefix) / file.name
    _refuse_symlink_above(file, Path(root), path)
    head = _read_head(file.parent)
    return Checkout(
        file=file,
        path=path,
        objects=Path(objects),
        remotes=_read_remotes(file.parent),
        branch=None if head is None else head.removeprefix("refs/heads/"),
        upstream=None if head is None else _read_upstream(file.parent, head),
    )


def check_branch(folder: Path, name: str) -> str:
    """Return a branch's name, where it is one and nothing else to git.

    Raises:
        SetupInvalid: it is not.
    """
    try:
        if name.startswith("-"):
            raise SetupInvalid(f"{name!r} is no branch's name; name one with --branch")
        git(folder, "check-ref-format", f"refs/heads/{name}")
    except (GitFailed, ValueError):
        raise SetupInvalid(f"{name!r} is no branch's name; name one with --branch") from None
    return name


def _refuse_symlink_above(file: Path, root: Path, path: PurePosixPath) -> None:
    """Refuse a file that the checkout has in another place than its path says."""
    for parent in file.parents:
        if parent.resolve() == root:
            if file.relative_to(parent).as_posix() != path.as_posix():
                raise CannotWriteBack(f"{file} is below a symlink, which is not followed")
            return


def _read_remotes(folder: Path) -> Mapping[str, Remote]:
    try:
        listed = git(folder, "config", "--null", "--get-regexp", r"^remote\..+\.")
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


def _read_head(folder: Path) -> str | None:
    try:
        return git(folder, "symbolic-ref", "--quiet", "HEAD").strip()
    except GitFailed:
        return None


def _read_upstream(folder: Path, head: str) -> tuple[str, str] | None:
    upstream = git(
        folder, "for-each-ref", "--format=%(upstream:remotename)%00%(upstream:remoteref)", head
    )
    remote, _, ref = upstream.strip("\n").partition("\0")
    branch = ref.removeprefix("refs/heads/")
    # A branch that follows one of this repository has no remote.
    return (remote, branch) if remote not in {"", "."} and branch != ref else None
