"""The numbers of eligible repositories: kept since an apply or a count of the watch, or counted now.

In a large table a count takes seconds, so a kept one is shown, with its time. Functions work in the caller's
transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from reconciler.database.driver import execute
from reconciler.database.eligibility import count_features
from reconciler.database.queries import queries
from reconciler.planning.eligible_count import EligibleCount, newest_count
from rollout_client.targeting.categories import Category

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection

_SQL = queries("eligible_counts")

COUNTED_UP_TO_BYTES: Final = 1_000_000
"""The size of a table of repositories that is always counted: about 7,000 of them."""


@dataclass(frozen=True, slots=True)
class Audience:
    """What a count of a feature counts: its configuration at one moment."""

    feature: str
    version: str
    """Changes with each change of the feature's row."""
    hash: int
    """Changes with what decides about eligibility."""
    read_at: datetime
    """The database's time."""


@dataclass(frozen=True, slots=True)
class Counted:
    """An audience and its number of repositories."""

    audience: Audience
    count: EligibleCount


def read_eligible_counts(
    connection: "AnyConnection", features: Sequence[str], *, is_exact: bool = False
) -> Mapping[str, EligibleCount]:
    """Return the eligible repositories of features by name; one scan counts those without a kept count."""
    found = {} if is_exact else read_known_counts(connection, features)
    unknown = [name for name in features if name not in found]
    counted = count_features(connection, unknown) if unknown else {}
    return {name: found.get(name) or counted[name] for name in features}


def read_known_counts(
    connection: "AnyConnection", features: Sequence[str]
) -> Mapping[str, EligibleCount]:
    """Return the counts that need no scan of a large table: the kept ones, or all of a small table."""
    known = execute(connection, _SQL["known"]).one()
    if known.size <= COUNTED_UP_TO_BYTES:
        return count_features(connection, features) if features else {}
    return _read_kept(connection, features) if known.may_read else {}


def read_audiences(
    connection: "AnyConnection", features: Sequence[str] | None = None
) -> Sequence[Audience]:
    """Return the audience of each feature, or of some features, as this transaction sees it."""
    return [
        Audience(row.feature, row.version, row.hash, row.read_at)
        for row in execute(connection, _SQL["kept"], {"features": _names(features)})
    ]


def keep_counts(connection: "AnyConnection", counted: Sequence[Counted]) -> None:
    """Keep the counts of audiences that are live; a newer count of an audience stays."""
    counts = [each.count for each in counted]
    execute(
        connection,
        _SQL["keep"],
        {
            "features": [each.audience.feature for each in counted],
            "versions": [each.audience.version for each in counted],
            "audiences": [each.audience.hash for each in counted],
            "times": [each.audience.read_at for each in counted],
            "repositories": [each.repositories for each in counts],
            "test_repositories": [each.test_repositories for each in counts],
            **{each.value: [count.by_category[each] for count in counts] for each in Category},
        },
    )


def may_keep_counts(connection: "AnyConnection") -> bool:
    """Return whether the account may keep counts: grants of older releases lack the right."""
    return bool(execute(connection, _SQL["known"]).one().may_write)


def read_changes(connection: "AnyConnection") -> str:
    """Return a text that changes with the features, the repositories and their categories."""
    changes: str = execute(connection, _SQL["changes"]).scalar()
    return changes


def _read_kept(connection: "AnyConnection", features: Sequence[str]) -> Mapping[str, EligibleCount]:
    rows = execute(connection, _SQL["kept"], {"features": _names(features)}).all()
    kept = {row.feature: _count(row) for row in rows if row.counted_at is not None}
    if not kept:
        return {}
    # A feature that is off needs no count of its own: it has the newest numbers of all repositories.
    newest = newest_count(kept.values())
    for row in rows:
        if not row.is_on:
            of = kept.get(row.feature, newest)
            kept[row.feature] = EligibleCount(
                of.repositories, of.test_repositories, dict.fromkeys(Category, 0), of.counted_at
            )
    return kept


def _count(row: Any) -> EligibleCount:
    by_category = {category: getattr(row, category.value) for category in Category}
    return EligibleCount(
        row.repositories,
        row.test_repositories,
        by_category,
        row.counted_at,
        is_before_change=not row.is_current,
    )


def _names(features: Sequence[str] | None) -> list[str] | None:
    return None if features is None else list(features)
