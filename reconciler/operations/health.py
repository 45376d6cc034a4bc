"""The health check: a verdict for each feature, its indicators, and on request the rollback."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.database.eligible_counts import read_eligible_counts
from reconciler.database.health import read_evidence_steps, read_healths
from reconciler.database.override_actions import read_feature
from reconciler.database.schema import require_newest
from reconciler.database.transactions import Database, read_only_transaction
from reconciler.errors import NotFound
from reconciler.operations.automatic_rollback import Watched, judge_and_roll_back
from reconciler.planning.indicators import Indicators, find_indicators

if TYPE_CHECKING:
    from datetime import datetime

    from reconciler.database.driver import AnyConnection
    from reconciler.planning.evidence_series import Step
    from reconciler.planning.health import Health, MetricsSource


@dataclass(frozen=True, slots=True)
class Checked:
    """One feature: its health, its rollback if there was one, and its indicators."""

    found: Watched
    indicators: Indicators
    counted_at: "datetime | None"
    """When the eligible repositories were counted; None if they were counted for this answer."""
    counted_before_change: bool
    """Whether the feature's audience was changed after the count."""


def check_health(
    database: Database,
    features: Sequence[str],
    source: "MetricsSource | None" = None,
    *,
    is_exact: bool = False,
) -> tuple[Checked, ...]:
    """Judge features; writes nothing.

    Args:
        database: the rollout's database.
        features: their names.
        source: the source of metrics; None for the database.
        is_exact: whether to count the eligible repositories also if a count is kept.

    Raises:
        NotFound: there is no such feature.
    """
    with read_only_transaction(database) as connection:
        require_newest(connection)
        healths = read_healths(connection, features, eligible={}, source=source)
        if missing := [name for name in features if name not in healths]:
            raise NotFound(f"no feature is called {missing[0]}")
        watched = [Watched(name, healths[name], None) for name in features]
        return _with_indicators(connection, watched, is_exact=is_exact)


@dataclass(frozen=True, slots=True)
class Explained:
    """One feature: its health, and the blocks that its evidence is made from."""

    feature: str
    health: "Health"
    steps: tuple["Step", ...]


def explain_health(database: Database, features: Sequence[str]) -> tuple[Explained, ...]:
    """Return the blocks and factors behind the evidence of features; write nothing.

    Raises:
        NotFound: there is no such feature.
    """
    with read_only_transaction(database) as connection:
        require_newest(connection)
        return tuple(Explained(name, *read_evidence_steps(connection, name)) for name in features)


def check_and_roll_back(
    database: Database, features: Sequence[str], source: "MetricsSource | None" = None
) -> tuple[Checked, ...]:
    """Judge features, and roll back those that fail if the file allows it.

    A feature whose rollback failed has its `failure`; the others are still judged.

    Args:
        database: the rollout's database.
        features: their names.
        source: the source of metrics; None for the database.

    Raises:
        NotFound: there is no such feature.
    """
    watched = judge_and_roll_back(database, features, source) if features else ()
    with read_only_transaction(database) as connection:
        return _with_indicators(connection, watched, is_exact=False)


def _with_indicators(
    connection: "AnyConnection", watched: Sequence[Watched], *, is_exact: bool
) -> tuple[Checked, ...]:
    counts = read_eligible_counts(connection, [each.feature for each in watched], is_exact=is_exact)
    return tuple(
        Checked(
            each,
            find_indicators(
                repositories=counts[each.feature].repositories,
                eligible_by_category=counts[each.feature].by_category,
                test_repositories=counts[each.feature].test_repositories,
                is_limited=read_feature(connection, each.feature).standing.in_force is not None,
            ),
            counts[each.feature].counted_at,
            counts[each.feature].is_before_change,
        )
        for each in watched
    )
