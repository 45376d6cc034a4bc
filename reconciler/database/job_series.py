"""Jobs over time, from the kept sums: for the charts of a feature, and for the sparkline of each feature.

Reads in the caller's transaction and writes nothing. The work depends on the windows of the period, not on
the number of jobs or of repositories.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from reconciler.database.driver import execute
from reconciler.database.queries import queries
from reconciler.errors import NotFound
from reconciler.planning.evidence import window_of
from reconciler.planning.job_series import HourOfJobs, JobSeries, Mark, WindowOfJobs, mark_kind
from reconciler.wording import counted, show_number

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection

_SQL = queries("job_series")

DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)
_MOST_MARKS: Final = 200


def read_job_series(
    connection: "AnyConnection", feature: str, *, length: timedelta = DAY
) -> JobSeries:
    """Return the jobs of a feature's two processors in the last day, with marks.

    Args:
        connection: the database.
        feature: its name.
        length: the length of the period, which ends now.

    Raises:
        NotFound: no feature has this name.
    """
    row = execute(connection, _SQL["processors"], {"feature": feature}).one_or_none()
    if row is None:
        raise NotFound(f"no feature is called {feature}")
    begins_at = window_of(row.now - length)
    period = {"feature": feature, "begins_at": begins_at, "ends_at": row.now}
    windows = execute(connection, _SQL["windows"], period)
    marks = execute(connection, _SQL["marks"], {**period, "most": _MOST_MARKS}).all()
    return JobSeries(
        processor=row.processor,
        fallback=row.fallback,
        begins_at=begins_at,
        ends_at=row.now,
        windows=tuple(WindowOfJobs(**each._asdict()) for each in windows),
        marks=tuple(_mark(each) for each in reversed(marks)),
    )


def read_hours(
    connection: "AnyConnection", *, feature: str | None = None, now: datetime | None = None
) -> Mapping[str, Sequence[HourOfJobs]]:
    """Return the jobs of the judged processor in each hour of the last day, by feature.

    A feature without a job in the last day is absent; each other one has every hour, the oldest first.
    `now` is the time of `read_now`, if it is known.
    """
    now = now or read_now(connection)
    last = now.replace(minute=0, second=0, microsecond=0)
    hours = [last - place * _HOUR for place in reversed(range(DAY // _HOUR))]
    parameters = {"feature": feature, "begins_at": hours[0], "ends_at": now}
    found: dict[str, dict[datetime, HourOfJobs]] = {}
    for row in execute(connection, _SQL["hours"], parameters):
        hour = HourOfJobs(row.begins_at, row.jobs, row.errors)
        found.setdefault(row.feature, {})[row.begins_at] = hour
    return {
        name: tuple(known.get(hour, HourOfJobs(hour, 0, 0)) for hour in hours)
        for name, known in found.items()
    }


def read_now(connection: "AnyConnection") -> datetime:
    """Return the time at which the transaction began, by the database's clock."""
    now: datetime = execute(connection, _SQL["now"]).scalar()
    return now


def _mark(row: "Any") -> Mark:
    has_both = row.before is not None and row.after is not None
    what = str(row.action).replace("_", " ")
    if has_both:
        what = f"{what} {show_number(row.before)} → {show_number(row.after)}"
    elif row.changes > 1:
        what = f"{what}, {counted(row.changes, 'change')}"
    kind = mark_kind(row.action, is_raised=has_both and row.after > row.before)
    return Mark(row.at, kind, f"{what} by {row.by or 'an unknown person'}")
