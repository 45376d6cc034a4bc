"""Metrics: recording a job's outcome, figures by window, and letting go of old windows.

Works in the transaction that it is given. What figures mean for a feature's health is `health.py`'s.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from sqlalchemy import text

from reconciler.database.queries import queries

if TYPE_CHECKING:
    from sqlalchemy import Connection

_SQL = queries("metrics")


@dataclass(frozen=True, slots=True)
class Job:
    """One job that ended."""

    repository: str
    """The id of the repository that it was for."""
    processor: str
    """What ran it, such as `inngest`; at most 50 characters."""
    succeeded: bool
    seconds: float | None = None
    """How long it took, where that is known."""
    error: str | None = None
    """What a failed one said; the first 1,000 characters are kept."""


@dataclass(frozen=True, slots=True)
class MetricsWindow:
    """What one processor's jobs came to in one window, over all repositories."""

    begins_at: datetime
    ends_at: datetime
    processor: str
    repositories: int
    jobs: int
    errors: int
    mean_seconds: Decimal | None
    """Of the jobs that told how long they took; None where none did."""
    last_error: str | None


def record_job(connection: "Connection", feature: str, job: Job) -> None:
    """Count one job, in the window of five minutes that it is reported in."""
    connection.execute(
        text(_SQL["record"]),
        {
            "feature": feature,
            "repository": job.repository,
            "processor": job.processor,
            "succeeded": job.succeeded,
            "seconds": job.seconds,
            "error": job.error,
        },
    )


def read_windows(
    connection: "Connection", feature: str, *, since: datetime | None, limit: int
) -> tuple[MetricsWindow, ...]:
    """Return a feature's figures by window, the newest first.

    Args:
        connection: where they are.
        feature: its name.
        since: windows that ended by then are left out; None for the feature's own monitoring window.
        limit: the most to return.
    """
    rows = connection.execute(
        text(_SQL["windows"]), {"feature": feature, "since": since, "limit": limit}
    )
    return tuple(MetricsWindow(**row._mapping) for row in rows)  # noqa: SLF001 - its public name


def prune_metrics(connection: "Connection", keep: timedelta) -> int:
    """Delete the windows that ended longer ago than `keep`, and return how many.

    Those that a feature's monitoring window still reaches stay.
    """
    pruned: int = connection.execute(text(_SQL["prune"]), {"keep": keep}).scalar_one()
    return pruned
