"""A day of sample jobs in the database of a demo: an apply a day ago, and a rollback in the afternoon.

The jobs run on both processors. Some hours after midday those of the eligible repositories fail, and
the feature is rolled back. Times are moved into the past, which nothing but a demo may do.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from reconciler.database.driver import execute
from reconciler.database.queries import queries
from reconciler.planning.evidence import window_of

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection

_SQL = queries("demo_day")

LENGTH: Final = timedelta(hours=25)
SINCE_THE_ROLLBACK: Final = timedelta(hours=3)
_OUTAGE: Final = timedelta(minutes=25)
_USUAL_SHARE: Final = 0.01
_SHARE_OF_THE_OUTAGE: Final = 0.6


def move_apply(connection: "AnyConnection", now: datetime) -> None:
    """Move the first apply to the begin of the day."""
    _move(connection, "move_apply", now - LENGTH)


def move_rollback(connection: "AnyConnection", now: datetime) -> None:
    """Move the rollback to the afternoon."""
    _move(connection, "move_rollback", window_of(now - SINCE_THE_ROLLBACK))


def read_eligible(connection: "AnyConnection", feature: str) -> Sequence[str]:
    """Return the ids of the eligible repositories."""
    return execute(connection, _SQL["eligible"], {"feature": feature}).scalars()


def add_jobs(
    connection: "AnyConnection",
    feature: str,
    now: datetime,
    before: Sequence[str],
    after: Sequence[str],
) -> None:
    """Add the jobs of the day.

    Args:
        connection: a transaction of the demo's database.
        feature: the feature.
        now: the end of the day.
        before: the ids of the eligible repositories until the rollback.
        after: those since then.
    """
    rolled_back_at = window_of(now - SINCE_THE_ROLLBACK)
    fails_at = rolled_back_at - _OUTAGE
    for begins_at, ends_at, eligible, share in (
        (window_of(now - LENGTH), fails_at, before, _USUAL_SHARE),
        (fails_at, rolled_back_at, before, _SHARE_OF_THE_OUTAGE),
        (rolled_back_at, window_of(now), after, _USUAL_SHARE),
    ):
        execute(
            connection,
            _SQL["add_jobs"],
            {
                "feature": feature,
                "begins_at": begins_at,
                "ends_at": ends_at,
                "eligible": list(eligible),
                "failed_share": share,
                "busiest_at": fails_at,
            },
        )


def _move(connection: "AnyConnection", statement: str, at: datetime) -> None:
    # History is append-only: only a superuser, as a demo's account is, can turn the triggers off.
    execute(connection, "SET LOCAL session_replication_role = replica")
    execute(connection, _SQL[statement], {"at": at})
    execute(connection, "SET LOCAL session_replication_role = origin")
