"""The commits that write-back made for overrides, found by the trailer of their messages."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from uuid import UUID

from reconciler.git.repository import Repository
from reconciler.git.write_back import OVERRIDE_TRAILER, REMOVAL

_TRAILER: Final = f"{OVERRIDE_TRAILER}: "


@dataclass(frozen=True, slots=True)
class LimitCommits:
    """The commits of one override; None for one that the checkout does not have."""

    written: str | None = None
    removed: str | None = None


def find_limit_commits(file: Path, overrides: Collection[UUID]) -> Mapping[UUID, LimitCommits]:
    """Return the commits of each override.

    The branches of the checkout and those that it has fetched are searched, since a write-back goes to the
    remote and the checkout may be behind. Of several commits the newest counts: a squash or a rebase is
    newer than the branch that it merges. An override without a commit is left out.

    Raises:
        SetupInvalid: git cannot read the repository.
    """
    if not overrides:
        return {}
    listed = Repository.around(file).git.log(
        "-z",
        "--reverse",
        "--fixed-strings",
        *(f"--grep={_TRAILER}{each}" for each in sorted(overrides, key=str)),
        "--format=%H%n%B",
        "HEAD",
        "--branches",
        "--remotes",
        "--",
    )
    wanted = {str(each): each for each in overrides}
    found: dict[UUID, LimitCommits] = {}
    for each in filter(None, listed.split("\0")):
        commit, _, message = each.partition("\n")
        for override, is_removal in _named(message):
            if override in wanted:
                known = found.get(wanted[override], LimitCommits())
                found[wanted[override]] = (
                    replace(known, removed=commit) if is_removal else replace(known, written=commit)
                )
    return found


def _named(message: str) -> Iterator[tuple[str, bool]]:
    """Yield each override that a message names, and whether the commit removes it.

    The message of a squash has those of its commits one after another, so that the lines are not in its
    last paragraph alone.
    """
    is_removal = False
    for line in message.splitlines():
        if line.startswith(REMOVAL):
            is_removal = True
        elif line.startswith(_TRAILER):
            yield line.removeprefix(_TRAILER).strip(), is_removal
            is_removal = False
