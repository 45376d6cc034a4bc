"""The numbers of eligible repositories: kept since an apply, or counted.

An apply counts the repositories of the features that it changes, and stores the numbers with its generation.
In a large table a count takes seconds, so a kept one is used until the feature's row changes. Reads in the
caller's transaction.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from reconciler.database.driver import execute
from reconciler.database.eligibility import count_features
from reconciler.database.queries import queries
from reconciler.planning.eligible_count import EligibleCount, from_stored

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection

_SQL = queries("eligible_counts")

COUNTED_UP_TO_BYTES: Final = 1_000_000
"""The size of a table of repositories that is always counted: about 7,000 of them."""


def read_eligible_counts(
    connection: "AnyConnection", features: Sequence[str], *, is_exact: bool = False
) -> Mapping[str, EligibleCount]:
    """Return the eligible repositories of features by name; one scan counts those without a kept count."""
    kept = {} if is_exact or _is_small(connection) else _read_kept(connection, features)
    unknown = [name for name in features if name not in kept]
    counted = count_features(connection, unknown) if unknown else {}
    return {name: kept.get(name) or counted[name] for name in features}


def _is_small(connection: "AnyConnection") -> bool:
    size: int = execute(connection, _SQL["size"]).scalar()
    return size <= COUNTED_UP_TO_BYTES


def _read_kept(connection: "AnyConnection", features: Sequence[str]) -> dict[str, EligibleCount]:
    rows = execute(connection, _SQL["kept"], {"features": list(features)})
    return {row.feature: from_stored(row.stored, row.counted_at, is_on=row.is_on) for row in rows}
