"""A feature's health: its job metrics, its verdict, and how long it has soaked.

Every function reads in the caller's transaction and writes nothing. `planning.health` decides the
verdict.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from reconciler.database.evidence import JudgedFeature, advance_run
from reconciler.database.judged_evidence import read_blocks, read_evidence
from reconciler.database.queries import queries
from reconciler.errors import NotFound, Unavailable
from reconciler.planning.evidence import window_of
from reconciler.planning.evidence_series import Step, list_steps
from reconciler.planning.health import (
    NO_JOBS,
    STALE_AFTER,
    Health,
    HealthLimits,
    JobMetrics,
    MetricsSource,
    Period,
    Processors,
    Tally,
    judge,
)
from reconciler.planning.promotion import Soaking
from reconciler.rollout_file.health_method import HealthMethod
from rollout_client.targeting.categories import Category

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

    from reconciler.database.lease import Lease

_SQL = queries("health")


@dataclass(frozen=True, slots=True)
class PostgresMetrics:
    """The job metrics of `rollout_metrics`, which `record_rollout_job` writes."""

    connection: "Connection"

    def read_metrics(self, feature: str, period: Period) -> JobMetrics:
        """Return the sums of one feature's jobs within a period.

        The five-minute window that contains the start of the period counts completely. A resume
        splits its window, so no earlier job counts.
        """
        parameters = {
            "feature": feature,
            "begin": period.begin,
            "cut_at": period.cut_at,
        }
        rows = self.connection.execute(text(_SQL["metrics"]), parameters).all()
        processors = {
            row.processor: row for row in rows if row.is_by_processor and not row.is_by_category
        }
        judged = processors.get(period.processors.processor)
        by_processor = {name: _tally(row) for name, row in processors.items()}
        return JobMetrics(
            total=by_processor.get(period.processors.processor, NO_JOBS),
            newest_age=None
            if judged is None or judged.newest_at is None
            else period.now - judged.newest_at,
            by_category=_by_category(rows, period.processors.processor),
            by_processor=by_processor,
            baseline=by_processor.get(period.processors.fallback, NO_JOBS),
            baseline_by_category=_by_category(rows, period.processors.fallback),
        )


def read_health(
    connection: "Connection",
    feature: str,
    *,
    eligible: int | None = None,
    source: MetricsSource | None = None,
    limited_at: datetime | None = None,
) -> Health:
    """Return the health of one feature, by the metrics of a source or of `rollout_metrics`.

    Args:
        connection: the database, with the feature's limits and its last resume.
        feature: its name.
        eligible: the number of eligible repositories; without it, the database is asked whether there is one,
            where that is needed.
        source: the source of its metrics.
        limited_at: the time of a rollback; only jobs since then count.

    Raises:
        NotFound: no feature has this name.
    """
    row = connection.execute(text(_SQL["watched"]), {"feature": feature}).one_or_none()
    if row is None:
        raise NotFound(f"no feature is called {feature}")
    processors = Processors(row.processor, row.fallback)
    period = Period(row.now, row.monitoring_window, row.resumed_at, limited_at, processors)
    limits = _limits(row)
    chosen = PostgresMetrics(connection) if source is None else source
    metrics, failure = None, _read_odd_time(connection, feature)
    if failure is None:
        try:
            metrics = chosen.read_metrics(feature, period)
        except Unavailable as error:
            failure = str(error)
    if eligible is None:
        eligible = int(_is_old(metrics) and _is_any_eligible(connection, feature))
    evidence = None
    # Prometheus has no windows of jobs, so that its metrics are compared with the limit.
    if limits.method is HealthMethod.EVIDENCE and source is None and metrics is not None:
        began_at = max(filter(None, (row.evidence_began_at, limited_at)))
        judged = _judged(feature, processors, began_at, limits)
        evidence = read_evidence(connection, judged, row.now)
    judgement = judge(metrics, eligible=eligible, limits=limits, evidence=evidence)
    return Health(judgement, metrics, limits, period, failure, evidence)


def read_evidence_steps(connection: "Connection", feature: str) -> tuple[Health, tuple[Step, ...]]:
    """Return the health of one feature, with each block that its evidence is made from.

    Raises:
        NotFound: no feature has this name.
    """
    health = read_health(connection, feature)
    if health.evidence is None:
        return health, ()
    row = connection.execute(text(_SQL["watched"]), {"feature": feature}).one()
    judged = _judged(feature, health.period.processors, row.evidence_began_at, health.limits)
    run, blocks = read_blocks(connection, judged)
    end = window_of(row.now)
    closed = [block for block in blocks if block.window_start < end]
    return health, list_steps(run, closed, health.evidence, health.limits.evidence)


def count_closed_windows(connection: "Connection", lease: "Lease", feature: str) -> None:
    """Count the closed windows that the stored evidence of a feature does not have yet.

    A feature that is judged by another method has no evidence, and a feature that is gone needs none.

    Raises:
        LeaseLost: another process may hold the lease; the caller must not commit.
    """
    row = connection.execute(text(_SQL["watched"]), {"feature": feature}).one_or_none()
    if row is None or HealthMethod(row.health_method) is not HealthMethod.EVIDENCE:
        return
    processors = Processors(row.processor, row.fallback)
    judged = _judged(feature, processors, row.evidence_began_at, _limits(row))
    advance_run(connection, lease, judged, row.now)


def _limits(row: "Row[Any]") -> HealthLimits:
    return HealthLimits(
        max_error_rate=row.max_error_rate,
        min_jobs=row.min_jobs,
        method=HealthMethod(row.health_method),
        max_regression=row.max_regression,
        max_slowdown=row.max_slowdown,
        false_alarms=row.false_alarms,
    )


def _judged(
    feature: str, processors: Processors, began_at: datetime, limits: HealthLimits
) -> JudgedFeature:
    return JudgedFeature(
        feature, processors.processor, processors.fallback, began_at, limits.evidence
    )


def read_soaking(
    connection: "Connection", feature: str, stage: Decimal, *, source: MetricsSource | None = None
) -> Soaking:
    """Return one feature's health, and how long it was live since it reached the stage with this percentage.

    Its metrics are those of a source or of `rollout_metrics`.
    """
    health = read_health(connection, feature, source=source)
    row = connection.execute(text(_SQL["reached"]), {"feature": feature, "percentage": stage}).one()
    return Soaking(health.period.now, row.reached_at, health, row.inactive_for)


def _read_odd_time(connection: "Connection", feature: str) -> str | None:
    """Return a sentence about an impossible time of this feature; None without one."""
    row = connection.execute(text(_SQL["odd_time"]), {"feature": feature}).one_or_none()
    if row is None:
        return None
    return (
        f"{row.place}: {row.column_name} is {row.written}, which cannot be right; correct this row"
    )


def _is_old(metrics: JobMetrics | None) -> bool:
    """Return whether metrics may be stale; only then does the number of eligible repositories count."""
    return metrics is not None and (metrics.newest_age or timedelta(0)) > STALE_AFTER


def _is_any_eligible(connection: "Connection", feature: str) -> bool:
    # The start of parallel workers takes longer than the search, which stops at the first repository.
    connection.exec_driver_sql("SET LOCAL max_parallel_workers_per_gather = 0")
    found: bool = connection.execute(text(_SQL["any_eligible"]), {"feature": feature}).scalar_one()
    connection.exec_driver_sql("SET LOCAL max_parallel_workers_per_gather TO DEFAULT")
    return found


def _tally(row: "Row[Any]") -> Tally:
    return Tally(jobs=row.jobs or 0, errors=row.errors or 0)


def _by_category(rows: "Sequence[Row[Any]]", processor: str) -> Mapping[Category, Tally]:
    tallies = {
        row.category: _tally(row)
        for row in rows
        if row.is_by_category and row.is_by_processor and row.processor == processor
    }
    return {each: tallies[each] for each in Category if each in tallies}
