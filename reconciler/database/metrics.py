"""Job metrics: recording a job's outcome, metrics by window, and deleting old windows.

Works in the caller's transaction. `health.py` judges a feature by these metrics.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from reconciler.database.driver import execute
from reconciler.database.queries import queries

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection

_SQL = queries("metrics")


@dataclass(frozen=True, slots=True)
class Job:
    """One finished job."""

    repository: str
    """The id of the job's repository."""
    processor: str
    """The processor that ran it, such as `inngest`; at most 50 characters."""
    succeeded: bool
    seconds: float | None = None
    """The job's duration, if known."""
    error: str | None = None
    """The error of a failed job; the first 1,000 characters are kept."""
    kind: str | None = None
    """The kind of the job, such as `pull_requests`; at most 50 characters."""
    size: int | None = None
    """The size of the job, such as a number of pull requests."""


@dataclass(frozen=True, slots=True)
class MetricsWindow:
    """The sums of one processor's jobs in one window, over all repositories."""

    begins_at: datetime
    ends_at: datetime
    processor: str
    repositories: int
    jobs: int
    errors: int
    mean_seconds: Decimal | None
    """Over the jobs with a reported duration; None without one."""
    last_error: str | None


def record_job(connection: "AnyConnection", feature: str, job: Job) -> None:
    """Count one job, in the five-minute window in which it is reported."""
    execute(
        connection,
        _SQL["record"],
        {
            "feature": feature,
            "repository": job.repository,
            "processor": job.processor,
            "succeeded": job.succeeded,
            "seconds": job.seconds,
            "error": job.error,
            "kind": job.kind,
            "size": job.size,
        },
    )


def read_windows(
    connection: "AnyConnection", feature: str, *, since: datetime | None, limit: int
) -> tuple[MetricsWindow, ...]:
    """Return a feature's metrics by window, the newest first.

    Args:
        connection: the database.
        feature: its name.
        since: only windows that ended later count; None for the feature's own monitoring window.
        limit: the largest number of windows to return.
    """
    rows = execute(
        connection, _SQL["windows"], {"feature": feature, "since": since, "limit": limit}
    )
    return tuple(MetricsWindow(**row._asdict()) for row in rows)


def prune_metrics(connection: "AnyConnection", keep: timedelta) -> int:
    """Delete the windows that ended longer ago than `keep`, and return their number.

    A window that a feature's monitoring window still reaches stays.
    """
    pruned: int = execute(connection, _SQL["prune"], {"keep": keep}).scalar()
    return pruned


def prune_batch(connection: "AnyConnection", keep: timedelta, most: int) -> int:
    """Delete some of the windows that `prune_metrics` deletes, up to a limit, and return their number."""
    pruned: int = execute(connection, _SQL["prune_batch"], {"keep": keep, "most": most}).scalar()
    return pruned


def merge_sums(connection: "AnyConnection", most: int) -> int:
    """Merge rows of the sums of jobs, up to a limit, and return their number; no sum changes."""
    merged: int = execute(connection, _SQL["merge"], {"most": most}).scalar()
    return merged
