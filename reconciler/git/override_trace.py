"""What git's history tells of an override's id in the file: whether it was there, and how often removed."""

from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

from reconciler.git.ancestry import refuse_shallow
from reconciler.git.command import NOTHING_ELSE, git
from reconciler.planning.overrides import NEVER_THERE, Trace


def trace_override(file: Path, override: UUID, *, is_there: bool) -> Trace:
    """Return what the history that ends at HEAD tells of an id.

    `is_there` is whether the file as it is read now has the id. Each commit that git finds changed how
    often the id stands in the file: in and out by turns.

    Raises:
        SetupInvalid: the clone is shallow, so an id may have been there without a trace.
    """
    folder = file.parent
    refuse_shallow(folder, f"whether the override {override} was removed from {file.name}")
    return trace_at("HEAD", file, override, is_there=is_there)


def trace_at(
    commit: str,
    file: Path,
    override: UUID,
    *,
    is_there: bool,
    environment: Mapping[str, str] = NOTHING_ELSE,
) -> Trace:
    """Return what the history that ends at a commit tells of an id.

    `is_there` is whether the file has the id at that commit; the clone has all of its history.
    """
    commits = git(
        file.parent,
        "log",
        "--full-history",
        "--format=%H",
        f"-S{override}",
        commit,
        "--",
        f":(literal){file.name}",
        environment=environment,
    ).split()
    if not commits:
        return NEVER_THERE
    turns = len(commits)
    return Trace(was_there=True, removals=(turns - 1) // 2 if is_there else (turns + 1) // 2)
