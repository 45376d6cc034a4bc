"""What git's history shows of an override's id in the file: whether it was there, and how often removed.

The file is followed through its former names, so that a block that is removed in the commit that moves the
file counts as removed.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final
from uuid import UUID

from reconciler.git.ancestry import refuse_shallow
from reconciler.git.repository import Repository, literally
from reconciler.planning.overrides import NEVER_THERE, Trace

_MAX_NAMES: Final = 20
_RENAMES: Final = "--find-renames=20%"
"""A small file that loses its block while it is moved keeps little more of itself."""


def trace_overrides(file: Path, overrides: Mapping[UUID, bool]) -> Mapping[UUID, Trace]:
    """Return what the history that ends at HEAD shows of each id.

    `overrides` has for each id whether the file as it is read now has it.

    Raises:
        SetupInvalid: the clone is shallow, so an id may have been there without a trace.
    """
    if not overrides:
        return {}
    repository = Repository.around(file)
    refuse_shallow(repository, f"which overrides were removed from {file.name}")
    names = names_of(repository, "HEAD", repository.path_of(file))
    return {
        override: trace_at(repository, "HEAD", names, override, is_there=is_there)
        for override, is_there in overrides.items()
    }


def trace_at(
    repository: Repository, commit: str, names: tuple[str, ...], override: UUID, *, is_there: bool
) -> Trace:
    """Return what the history that ends at a commit shows of an id in the file, under any of its names.

    `is_there` is whether the file has the id at that commit; the clone has all of its history. Each commit
    that git finds changed how often the id stands in the file: there and gone by turns.
    """
    commits = repository.git.log(
        "--full-history",
        "--format=%H",
        "--no-textconv",
        _RENAMES,
        f"-S{override}",
        commit,
        "--",
        *(literally(each) for each in names),
    ).split()
    if not commits:
        return NEVER_THERE
    turns = len(commits)
    return Trace(was_there=True, removals=(turns - 1) // 2 if is_there else (turns + 1) // 2)


def names_of(repository: Repository, commit: str, path: str) -> tuple[str, ...]:
    """Return a file's path at a commit and those that it had before, the newest first."""
    names = [path]
    for name in names:
        for added in _commits(repository, commit, name, "A"):
            for old, new in _renames(repository, added):
                if new == name and old not in names and len(names) < _MAX_NAMES:
                    names.append(old)
    return tuple(names)


def newest_name(repository: Repository, commit: str, path: str) -> str:
    """Return the path at a commit of a file that was at another path before; the same where it is there."""
    for _ in range(_MAX_NAMES):
        if repository.git.ls_tree("--name-only", commit, "--", literally(path)):
            return path
        moved = [
            new
            for removed in _commits(repository, commit, path, "D")[:1]
            for old, new in _renames(repository, removed)
            if old == path
        ]
        if not moved:
            return path
        path = moved[0]
    return path


def _commits(repository: Repository, commit: str, path: str, change: str) -> list[str]:
    """Return the commits that added (`A`) or removed (`D`) a path, the newest first."""
    found = repository.git.log(
        "--full-history",
        "--no-renames",
        f"--diff-filter={change}",
        "--format=%H",
        commit,
        "--",
        literally(path),
    )
    return str(found).split()


def _renames(repository: Repository, commit: str) -> list[tuple[str, str]]:
    """Return the old and the new path of each file that a commit moved."""
    listed = repository.git.diff_tree(
        "-r", "-z", "--no-commit-id", "--name-status", "--diff-filter=R", _RENAMES, commit
    ).split("\0")
    return [(listed[at + 1], listed[at + 2]) for at in range(0, len(listed) - 2, 3)]
