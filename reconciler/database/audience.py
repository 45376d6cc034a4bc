"""The audience of a feature by category, in a time that does not depend on the number of repositories.

A small table is counted. If the table is large, some of its pages are read and the counts are
scaled: whether a repository is eligible depends on a digest of its id, and not on its page. Reads
in the caller's transaction.
"""

from typing import TYPE_CHECKING, Final

from reconciler.database.driver import execute
from reconciler.database.queries import queries
from reconciler.planning.audience import AudienceEstimate, CategoryShare, scale_sample
from rollout_client.targeting.categories import Category

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection

_SQL = queries("audience")

MOST_LOOKED_AT: Final = 1_500
"""The largest number of repositories in a sample."""
_PAGES: Final = 60
"""The number of pages in a sample; a table with fewer pages is read as a whole."""


def read_audience(connection: "AnyConnection", feature: str) -> AudienceEstimate:
    """Return the eligible repositories of a feature by category, counted or estimated.

    For an unknown feature 0 repositories are eligible.
    """
    size = execute(connection, _SQL["size"]).one()
    is_whole = size.pages <= _PAGES
    parameters = {
        "feature": feature,
        "percent": 100.0 if is_whole else 100.0 * _PAGES / size.pages,
        # A page holds at most 291 rows, so that a table with so few pages is read to its end.
        "most": _PAGES * 300 if is_whole else MOST_LOOKED_AT,
    }
    found = [
        CategoryShare(Category(row.category), row.eligible, row.total)
        for row in execute(connection, _SQL["sample"], parameters)
    ]
    looked_at = sum(each.total for each in found)
    if is_whole:
        repositories = looked_at
    elif size.repositories is not None and size.repositories > 0:
        repositories = max(size.repositories, looked_at)
    else:
        repositories = looked_at * size.pages // _PAGES
    return scale_sample(repositories, looked_at, found)
