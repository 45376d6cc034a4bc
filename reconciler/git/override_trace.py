"""What git's history shows of an override's id in the file: whether it was there, and how often removed."""

from pathlib import Path
from uuid import UUID

from reconciler.git.ancestry import refuse_shallow
from reconciler.git.repository import Repository, literally
from reconciler.planning.overrides import NEVER_THERE, Trace


def trace_override(file: Path, override: UUID, *, is_there: bool) -> Trace:
    """Return what the history that ends at HEAD shows of an id.

    `is_there` is whether the file as it is read now has the id. Each commit that git finds changed how
    often the id stands in the file: in and out by turns.

    Raises:
        SetupInvalid: the clone is shallow, so an id may have been there without a trace.
    """
    repository = Repository.around(file)
    refuse_shallow(repository, f"whether the override {override} was removed from {file.name}")
    return trace_at(repository, "HEAD", repository.path_of(file), override, is_there=is_there)


def trace_at(
    repository: Repository, commit: str, path: str, override: UUID, *, is_there: bool
) -> Trace:
    """Return what the history that ends at a commit shows of an id in the file at a path.

    `is_there` is whether the file has the id at that commit; the clone has all of its history.
    """
    commits = repository.git.log(
        "--full-history",
        "--format=%H",
        "--no-textconv",
        f"-S{override}",
        commit,
        "--",
        literally(path),
    ).split()
    if not commits:
        return NEVER_THERE
    turns = len(commits)
    return Trace(was_there=True, removals=(turns - 1) // 2 if is_there else (turns + 1) // 2)
