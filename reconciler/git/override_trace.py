"""The traces of an override's id in git's history of the file: whether it was there, and its removals.

The file is followed through its earlier names, so a block that is removed in the commit that moves
the file counts as removed.
"""

from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

from reconciler.git.ancestry import refuse_shallow
from reconciler.git.file_history import RENAMES, names_of
from reconciler.git.repository import Repository, literally
from reconciler.planning.overrides import NEVER_THERE, Trace


def trace_overrides(file: Path, overrides: Mapping[UUID, bool]) -> Mapping[UUID, Trace]:
    """Return the trace of each id in the history that ends at HEAD.

    `overrides` has for each id whether the present file has it.

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
    """Return the trace of an id in the history that ends at a commit, under any name of the file.

    `is_there` is whether the file has the id at that commit; the clone has the whole history. Each
    commit that git finds changed the number of uses of the id in the file: alternately it is added
    and removed.
    """
    commits = repository.git.log(
        "--full-history",
        "--format=%H",
        "--no-textconv",
        RENAMES,
        f"-S{override}",
        commit,
        "--",
        *(literally(each) for each in names),
    ).split()
    if not commits:
        return NEVER_THERE
    turns = len(commits)
    return Trace(was_there=True, removals=(turns - 1) // 2 if is_there else (turns + 1) // 2)
