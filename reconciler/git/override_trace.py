"""The traces of an override's id in git's history of the file: whether it was there, and its removals.

The file is followed through its earlier names, so a block that is removed in the commit that moves
the file counts as removed.
"""

from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

from reconciler.git.ancestry import content_at, refuse_shallow
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
    commit that git finds changed the number of uses of the id in the file.
    """
    listed = repository.git.log(
        "--full-history",
        "--format=%H %P",
        "--no-textconv",
        RENAMES,
        f"-S{override}",
        commit,
        "--",
        *(literally(each) for each in names),
    ).splitlines()
    if not listed:
        return NEVER_THERE
    # A block that a merge lost has no commit that removed it.
    removals = 0 if is_there else 1
    if len(listed) > 1:
        word = str(override).encode()
        commits = (each.split(" ") for each in listed)
        removals = max(
            removals, sum(_is_removed(repository, each, names, word) for each in commits)
        )
    return Trace(was_there=True, removals=removals)


def _is_removed(
    repository: Repository, commit: list[str], names: tuple[str, ...], word: bytes
) -> bool:
    """Return whether a commit, with its parents behind it, removes the last place of a word in the file.

    A copy of a block, and the removal of the copy, change how often the word is there, and not whether.
    """
    name, *parents = commit
    before = content_at(repository, parents[0], names) if parents else None
    after = content_at(repository, name, names)
    return word in (before or b"") and word not in (after or b"")
