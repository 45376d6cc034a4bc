"""The rollout in the past: the repositories that were eligible at a moment."""

from typing import TYPE_CHECKING

from reconciler.database.repositories import list_repositories
from reconciler.database.time_travel import read_then
from rollout_client.targeting.categories import Activity
from rollout_client.targeting.eligibility import is_eligible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.database.driver import AnyConnection
    from reconciler.database.repositories import ListedRepository
    from reconciler.database.time_travel import Moment, Then
    from rollout_client.targeting.categories import Category


def list_eligible_then(
    connection: "AnyConnection",
    feature: str,
    at: "Moment",
    *,
    owner: str | None = None,
    category: "Category | None" = None,
    only_test: bool = False,
    limit: int | None = None,
) -> "tuple[Then, Sequence[ListedRepository]]":
    """Return a moment, and the repositories of today that were eligible for a feature at that moment.

    Raises:
        NotFound: nothing was applied at that moment.
    """
    then = read_then(connection, feature, at)
    listed = list_repositories(connection, owner=owner, category=category, only_test=only_test)
    return then, [each for each in listed if _was_eligible(each, feature, then)][:limit]


def _was_eligible(listed: "ListedRepository", feature: str, then: "Then") -> bool:
    activity = Activity(listed.stars, listed.contributors, listed.pull_requests)
    repository = then.repository(listed.id, listed.full_name, listed.category, activity)
    return is_eligible(feature, then.targeting, repository)
