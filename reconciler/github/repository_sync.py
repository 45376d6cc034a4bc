"""Sync of the stand-alone repositories with GitHub: names, stars and pull requests, then contributors.

Names are written first, in one transaction, since names may have moved between repositories in any order.
Contributors need a request for each repository: only repositories with a push since the last count are
counted, and counts are stored in batches, so that an interrupted sync continues where it stopped.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final

from reconciler.database.repositories import (
    LoadedRow,
    LoadOutcome,
    load_repositories,
    require_stand_alone,
)
from reconciler.database.repository_sync import (
    Count,
    give_up_names,
    read_known,
    read_uncounted,
    store_counts,
)
from reconciler.database.schema import require_newest
from reconciler.database.transactions import Database, read_only_transaction, write_transaction
from reconciler.github.client import GitHub
from reconciler.github.repository_list import (
    GitHubRepository,
    OwnerKind,
    count_contributors,
    find_by_id,
    list_pages,
)

if TYPE_CHECKING:
    from reconciler.database.driver import DriverConnection

COUNTS_AT_ONCE: Final = 20
"""The counts of one batch; a kill loses at most one batch."""

Progress = Callable[[str, int, int], None]
"""Receives the name of a step, the number done and the number of all."""


@dataclass(frozen=True, slots=True)
class Synced:
    """The result of a sync."""

    repositories: int
    loaded: LoadOutcome
    followed: int
    """Repositories that have moved to other owners, found by GitHub's id."""
    replaced: int
    """Deleted repositories whose name another repository has now."""
    counted: int
    """Repositories whose contributors were counted."""


def sync_repositories(
    database: Database, github: GitHub, kind: OwnerKind, login: str, progress: Progress
) -> Synced:
    """Update an owner's repositories; repositories that GitHub no longer has do not change.

    Such a repository loses its name if another repository has it now.

    Raises:
        NotFound: the owner does not exist.
        SetupInvalid: the table belongs to a host application.
        Unavailable: GitHub's rate limit is used up for longer than an hour, or GitHub does not answer.
    """
    listed = _list(github, kind, login, progress)
    moved = _follow(database, github, listed, login)
    names = {**_names(listed), **moved}
    rows = [*_rows(listed.values()), *_moved_rows(moved, first_line=len(listed) + 1)]

    def load(connection: "DriverConnection") -> tuple[int, LoadOutcome]:
        require_newest(connection)
        require_stand_alone(connection)
        replaced = give_up_names(connection, names)
        return replaced, load_repositories(connection, f"GitHub's {login}", rows)

    replaced, outcome = write_transaction(database, load)
    counted = _count(database, github, listed, progress)
    return Synced(len(listed), outcome, len(moved), replaced, counted)


def _follow(
    database: Database, github: GitHub, listed: Mapping[int, GitHubRepository], login: str
) -> Mapping[int, str]:
    """Return the names now of repositories that left the owner, or whose names other repositories have.

    If such a repository now has the name of a third one, that one is looked up too, and so on.
    """
    taken = {name.lower() for name in _names(listed).values()}
    moved: dict[int, str] = {}
    asked = set(listed)
    while True:
        with read_only_transaction(database) as connection:
            require_newest(connection)
            unclear = read_known(connection, login, taken) - asked
        if not unclear:
            return moved
        for each in sorted(unclear):
            name = find_by_id(github, each)
            # A repository that got a listed name after the list was read waits for the next sync.
            if name is not None and name.lower() not in taken:
                moved[each] = name
                taken.add(name.lower())
        asked |= unclear


def _list(
    github: GitHub, kind: OwnerKind, login: str, progress: Progress
) -> Mapping[int, GitHubRepository]:
    listed: dict[int, GitHubRepository] = {}
    for page in list_pages(github, kind, login):
        # A repository that is renamed meanwhile may be on two pages, and so may a name.
        listed |= {each.github_id: each for each in page.repositories}
        progress("listed", len(listed), page.total)
    by_name = {each.full_name.lower(): each for each in listed.values()}
    return {each.github_id: each for each in by_name.values()}


def _names(listed: Mapping[int, GitHubRepository]) -> Mapping[int, str]:
    return {each.github_id: each.full_name for each in listed.values()}


def _count(
    database: Database,
    github: GitHub,
    listed: Mapping[int, GitHubRepository],
    progress: Progress,
) -> int:
    pushed_at = {each.github_id: each.pushed_at for each in listed.values()}
    with read_only_transaction(database) as connection:
        uncounted = sorted(read_uncounted(connection, pushed_at))
    for first in range(0, len(uncounted), COUNTS_AT_ONCE):
        some = uncounted[first : first + COUNTS_AT_ONCE]
        counts = [_ask(github, listed[each]) for each in some]
        write_transaction(database, partial(store_counts, counts=counts))
        progress("contributors counted", first + len(some), len(uncounted))
    return len(uncounted)


def _ask(github: GitHub, repository: GitHubRepository) -> Count:
    # The time before the request: the next sync counts a push in between.
    asked_at = datetime.now(UTC)
    contributors = count_contributors(github, repository.full_name)
    return Count(repository.github_id, contributors, asked_at)


def _rows(listed: Iterable[GitHubRepository]) -> Iterator[LoadedRow]:
    for line, each in enumerate(listed, start=1):
        yield LoadedRow(
            line=line,
            id=None,
            github_id=each.github_id,
            full_name=each.full_name,
            stars=each.stars,
            contributors=None,
            pull_requests=each.pull_requests,
        )


def _moved_rows(moved: Mapping[int, str], first_line: int) -> Iterator[LoadedRow]:
    for line, (github_id, full_name) in enumerate(moved.items(), start=first_line):
        yield LoadedRow(line, None, github_id, full_name, None, None, None)
