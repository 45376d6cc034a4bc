"""The commits that write-back made for overrides, found by the trailer of their messages."""

from collections.abc import Collection, Mapping
from pathlib import Path
from uuid import UUID

from reconciler.git.repository import Repository
from reconciler.git.write_back import OVERRIDE_TRAILER


def find_limit_commits(file: Path, overrides: Collection[UUID]) -> Mapping[UUID, tuple[str, ...]]:
    """Return the commits of each override, the oldest first: the one that writes it, then its removal.

    The branches of the checkout and those that it has fetched are searched, since a write-back goes to the
    remote and the checkout may be behind. An override without a commit is left out.

    Raises:
        SetupInvalid: git cannot read the repository.
    """
    if not overrides:
        return {}
    listed = Repository.around(file).git.log(
        "--reverse",
        "--fixed-strings",
        *(f"--grep={OVERRIDE_TRAILER}: {each}" for each in sorted(overrides, key=str)),
        f"--format=%H %(trailers:key={OVERRIDE_TRAILER},valueonly,separator=%x20)",
        "HEAD",
        "--branches",
        "--remotes",
        "--",
    )
    found: dict[UUID, tuple[str, ...]] = {}
    for line in listed.splitlines():
        commit, *written = line.split(" ")
        for each in overrides:
            if str(each) in written:
                found[each] = (*found.get(each, ()), commit)
    return found
