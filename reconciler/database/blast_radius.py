"""Measuring a blast radius: every repository under the live and the planned configuration.

One statement for all repositories, in the transaction that it is given. It writes nothing, temporary
tables included: SELECT is enough, and a read-only transaction will do.
"""

import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from reconciler.database.queries import queries
from reconciler.planning.blast_radius import MOST_OWNERS, MOST_SAMPLES, BlastRadius, Moved
from reconciler.targeting.categories import Category, Threshold
from reconciler.targeting.eligibility import Targeting

if TYPE_CHECKING:
    from sqlalchemy import Connection

_SQL = queries("blast_radius")

_NO_LIMIT: Final = 2**31 - 1
"""The largest figure there is, as the view `category_limits` writes it."""


def measure_blast_radius(
    connection: "Connection",
    feature: str,
    planned: Targeting,
    *,
    marked: Collection[str] = (),
    unmarked: Collection[str] = (),
    thresholds: Mapping[Category, Threshold] | None = None,
) -> BlastRadius:
    """Return who gains and who loses a feature once this plan is applied.

    `marked` and `unmarked` are the ids of repositories whose mark as test comes or goes. `thresholds`
    are given where they move: an apply then categorises every repository again by its figures of now.
    """
    live = connection.execute(text(_SQL["live"]), {"feature": feature}).one()
    live_whitelist, live_exclusions = frozenset(live.whitelist), frozenset(live.exclusions)
    whitelist_ids, whitelist_names = _split(planned.whitelist - live_whitelist)
    exclusions_ids, exclusions_names = _split(planned.exclusions - live_exclusions)
    gone_whitelist_ids, gone_whitelist_names = _split(live_whitelist - planned.whitelist)
    gone_exclusions_ids, gone_exclusions_names = _split(live_exclusions - planned.exclusions)
    row = connection.execute(
        text(_SQL["measure"]),
        {
            "feature": feature,
            "configuration": live.id,
            "live_is_on": live.is_on,
            "live_strategy": live.strategy,
            "live_percentage": live.percentage,
            "live_bucket_limit": live.bucket_limit,
            "live_salt": live.salt,
            "live_limits": live.limits,
            "planned_is_on": planned.active and not planned.emergency_stop,
            "planned_strategy": planned.strategy.value,
            "planned_percentage": planned.percentage,
            "planned_bucket_limit": planned.bucket_limit,
            "planned_salt": planned.salt,
            "added_whitelist_ids": _array(whitelist_ids),
            "added_whitelist_names": whitelist_names,
            "added_exclusions_ids": _array(exclusions_ids),
            "added_exclusions_names": exclusions_names,
            "removed_whitelist_ids": _array(gone_whitelist_ids),
            "removed_whitelist_names": gone_whitelist_names,
            "removed_exclusions_ids": _array(gone_exclusions_ids),
            "removed_exclusions_names": gone_exclusions_names,
            "marked": _array(marked),
            "unmarked": _array(unmarked),
            "recategorises": thresholds is not None,
            "planned_limits": live.limits if thresholds is None else category_limits(thresholds),
            "owners": MOST_OWNERS,
            "samples": MOST_SAMPLES,
        },
    ).one()
    by_category = _moved(row.by_category)
    return BlastRadius(
        repositories=row.repositories,
        before=row.before,
        after=row.after,
        gained=row.gained,
        lost=row.lost,
        by_category={each: by_category[each] for each in Category if each in by_category},
        by_owner=_moved(row.by_owner),
        sample_gained=tuple(row.sample_gained),
        sample_lost=tuple(row.sample_lost),
    )


def category_limits(thresholds: Mapping[Category, Threshold]) -> str:
    """Return thresholds as a row of the view `category_limits`, in the text that Postgres reads."""
    limits = [
        _NO_LIMIT if limit is None else limit
        for category in Category
        if category is not Category.ENTERPRISE
        for limit in (
            thresholds[category].stars,
            thresholds[category].contributors,
            thresholds[category].pull_requests,
        )
    ]
    priorities = [thresholds[category].priority for category in Category]
    return f"({','.join(map(str, [*limits, *priorities]))})"


def _split(keys: Collection[str]) -> tuple[list[str], list[str]]:
    """Return the keys that are ids, and the names and patterns."""
    ids = [key for key in keys if len(key) == _ID_LENGTH and _ID.fullmatch(key)]
    return ids, list(frozenset(keys).difference(ids))


def _array(ids: Collection[str]) -> str:
    """Return ids as the text of an array: they need no quoting, and the driver quotes a value at a time."""
    return f"{{{','.join(ids)}}}"


_ID_LENGTH: Final = 36
_ID: Final = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _moved(groups: list[list[Any]]) -> dict[str, Moved]:
    return {name: Moved(gained=gained, lost=lost) for name, gained, lost in groups}
