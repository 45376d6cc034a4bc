"""The blast radius of a plan: every repository under the live and the planned configuration.

One statement measures all repositories in the caller's transaction. It writes nothing, not even a
temporary table, so a read-only transaction and the right to SELECT are enough.
"""

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from reconciler.database.queries import queries
from reconciler.planning.blast_radius import MOST_OWNERS, MOST_SAMPLES, BlastRadius, Moved
from reconciler.uuid_text import is_uuid
from rollout_client.targeting.categories import Category, Threshold
from rollout_client.targeting.eligibility import Targeting
from rollout_client.targeting.strategy import Strategy

if TYPE_CHECKING:
    from sqlalchemy import Connection

_SQL = queries("blast_radius")

NO_AUDIENCE: Final = Targeting(
    active=False,
    emergency_stop=False,
    strategy=Strategy.PERCENTAGE,
    percentage=Decimal(0),
    salt="",
)
"""The targeting of a feature that is not in the database: 0 repositories are eligible."""

_NO_LIMIT: Final = 2**31 - 1
"""The largest value of a category's limit, as in the view `category_limits`."""


def measure_blast_radius(
    connection: "Connection",
    feature: str,
    live: Targeting,
    planned: Targeting,
    *,
    marked: Collection[str] = (),
    unmarked: Collection[str] = (),
    thresholds: Mapping[Category, Threshold] | None = None,
) -> BlastRadius:
    """Return the repositories that gain and that lose a feature when this plan is applied.

    `live` is the feature as this transaction has read it, so that long lists are read once; it is
    `NO_AUDIENCE` if the feature is not in the database. `marked` and `unmarked` are the ids of
    repositories that gain or lose the mark as test. `thresholds` are given if they change: an apply
    then categorises every repository again by its present metrics.
    """
    found = connection.execute(text(_SQL["found"]), {"feature": feature}).one()
    whitelist_ids, whitelist_names = _split(planned.whitelist - live.whitelist)
    exclusions_ids, exclusions_names = _split(planned.exclusions - live.exclusions)
    gone_whitelist_ids, gone_whitelist_names = _split(live.whitelist - planned.whitelist)
    gone_exclusions_ids, gone_exclusions_names = _split(live.exclusions - planned.exclusions)
    row = connection.execute(
        text(_SQL["measure"]),
        {
            "feature": feature,
            "configuration": found.id,
            "live_is_on": live.off_rule is None,
            "live_strategy": live.strategy.value,
            "live_percentage": live.percentage,
            "live_bucket_limit": live.bucket_limit,
            "live_salt": live.salt,
            "live_bucketing": live.bucketing.value,
            "live_limits": found.limits,
            "planned_is_on": planned.off_rule is None,
            "planned_strategy": planned.strategy.value,
            "planned_percentage": planned.percentage,
            "planned_bucket_limit": planned.bucket_limit,
            "planned_salt": planned.salt,
            "planned_bucketing": planned.bucketing.value,
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
            "planned_limits": found.limits if thresholds is None else category_limits(thresholds),
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


def category_limits(thresholds: Mapping[Category, Threshold]) -> list[int]:
    """Return thresholds as the columns of a row of the view `category_limits`."""
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
    return [*limits, *priorities]


def _split(keys: Collection[str]) -> tuple[list[str], list[str]]:
    """Return the keys that are ids, and the keys that are names or patterns."""
    ids = [key for key in keys if is_uuid(key)]
    return ids, list(frozenset(keys).difference(ids))


def _array(ids: Collection[str]) -> str:
    """Return ids as the text of an array, which is faster than the driver's quoting of each value."""
    return f"{{{','.join(ids)}}}"


def _moved(groups: list[list[Any]]) -> dict[str, Moved]:
    return {name: Moved(gained=gained, lost=lost) for name, gained, lost in groups}
