"""Categories in the database: categorising repositories, and the totals of each category.

The SQL function `category_changes` has the rule; a test compares it with `targeting.categories`. Marks as
test stay as they are.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from reconciler.database.driver import execute
from reconciler.database.queries import queries
from rollout_client.targeting.categories import Category

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection

_SQL = queries("categories")

MOST_NAMES: Final = 20


@dataclass(frozen=True, slots=True)
class Move:
    """The number of repositories that moved from one category (None: uncategorised) to another."""

    before: Category | None
    after: Category
    repositories: int


@dataclass(frozen=True, slots=True)
class MovedRepository:
    """One repository that moved from one category to another."""

    full_name: str
    before: Category | None
    after: Category


@dataclass(frozen=True, slots=True)
class Categorized:
    """The outcome of categorising."""

    written: int
    """Rows written, also those with changed metrics and an unchanged category."""
    moves: tuple[Move, ...]
    """In the order of `Category`, newly categorised repositories first."""
    names: tuple[MovedRepository, ...]
    """The first `MOST_NAMES` by name."""


@dataclass(frozen=True, slots=True)
class CategoryTotals:
    """The sums over the repositories of one category."""

    category: Category
    repositories: int
    stars: int
    contributors: int
    pull_requests: int
    mean_activity: float
    """The mean of the monthly activity score, from 0 to 100; 0 without repositories."""


def categorize(connection: "AnyConnection", repository_id: str | None = None) -> Categorized:
    """Categorise one repository, or all, and return the moves; the caller commits.

    A second run over unchanged repositories writes nothing.
    """
    row = execute(connection, _SQL["categorize"], {"id": repository_id, "names": MOST_NAMES}).one()
    moves = [Move(_category(before), Category(after), moved) for before, after, moved in row.moves]
    return Categorized(
        written=row.written,
        moves=tuple(sorted(moves, key=_order)),
        names=tuple(
            MovedRepository(name, _category(before), Category(after))
            for name, before, after in row.names
        ),
    )


def read_category_totals(connection: "AnyConnection") -> tuple[CategoryTotals, ...]:
    """Return the totals of every category, in the order of `Category`, also of empty categories."""
    rows = {row.category: row for row in execute(connection, _SQL["table"])}
    return tuple(
        CategoryTotals(
            category=category,
            repositories=rows[category].repositories,
            stars=int(rows[category].stars),
            contributors=int(rows[category].contributors),
            pull_requests=int(rows[category].pull_requests),
            mean_activity=float(rows[category].mean_activity),
        )
        for category in Category
        if category in rows
    )


def _category(recorded: str | None) -> Category | None:
    return None if recorded is None else Category(recorded)


def _order(move: Move) -> tuple[int, int]:
    order = list(Category)
    return (-1 if move.before is None else order.index(move.before), order.index(move.after))
