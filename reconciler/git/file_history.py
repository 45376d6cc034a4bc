"""The earlier and later names of a file: git finds them as renames."""

from typing import Final

from reconciler.git.repository import Repository, literally

RENAMES: Final = "--find-renames=20%"
"""A low share: a small file that loses its block in the same commit keeps little of its content."""
_MAX_NAMES: Final = 20


def names_of(repository: Repository, commit: str, path: str) -> tuple[str, ...]:
    """Return a file's path at a commit and its earlier paths, the newest first."""
    names = [path]
    for name in names:
        for added in _commits(repository, commit, name, "A"):
            for old, new in _renames(repository, added):
                if new == name and old not in names and len(names) < _MAX_NAMES:
                    names.append(old)
    return tuple(names)


def newest_name(repository: Repository, commit: str, path: str) -> str:
    """Return the path at a commit of a file with an earlier path; the same path if it still exists."""
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
        "-r", "-z", "--no-commit-id", "--name-status", "--diff-filter=R", RENAMES, commit
    ).split("\0")
    return [(listed[at + 1], listed[at + 2]) for at in range(0, len(listed) - 2, 3)]
