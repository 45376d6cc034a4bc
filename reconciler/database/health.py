"""A feature's health: its job metrics, its verdict, and how long it has soaked.

Every function reads in the caller's transaction and writes nothing. `planning.health` decides the
verdict.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg

from reconciler.database.driver import driver_error, execute
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
from reconciler.planning.stages import Soaking
from reconciler.rollout_file.health_method import HealthMethod
from rollout_client.targeting.categories import Category

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection
    from reconciler.database.lease import Lease

_SQL = queries("health")


def read_health(
    connection: "AnyConnection",
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
    known = {} if eligible is None else {feature: eligible}
    found = read_healths(
        connection, [feature], eligible=known, source=source, limited_at=limited_at
    )
    if feature not in found:
        raise NotFound(f"no feature is called {feature}")
    return found[feature]


def read_healths(
    connection: "AnyConnection",
    features: Sequence[str],
    *,
    eligible: Mapping[str, int],
    source: MetricsSource | None = None,
    limited_at: datetime | None = None,
) -> Mapping[str, Health]:
    """Return the health of each of some features, as `read_health` does, with one query of each kind."""
    rows = {
        row.feature: row
        for row in execute(connection, _SQL["watched"], {"features": list(features)})
    }
    periods = {
        name: Period(
            row.now,
            row.monitoring_window,
            row.resumed_at,
            limited_at,
            Processors(row.processor, row.fallback),
        )
        for name, row in rows.items()
    }
    limits = {name: _limits(row) for name, row in rows.items()}
    failures = _read_odd_times(connection, list(rows))
    readable = {name: period for name, period in periods.items() if name not in failures}
    if source is None:
        metrics = _read_metrics(connection, readable)
    else:
        metrics, more = _ask(source, readable)
        failures |= more
    old = [name for name, found in metrics.items() if name not in eligible and _is_old(found)]
    eligible = dict.fromkeys(_find_with_eligible(connection, old), 1) | dict(eligible)
    # Prometheus has no windows of jobs, so that its metrics are compared with the limit.
    judged = [
        _judged(
            name,
            periods[name].processors,
            max(filter(None, (rows[name].evidence_began_at, limited_at))),
            limits[name],
        )
        for name in metrics
        if limits[name].method is HealthMethod.EVIDENCE and source is None
    ]
    evidence = read_evidence(connection, judged, rows[judged[0].name].now) if judged else {}
    return {
        name: Health(
            judge(
                metrics.get(name),
                eligible=eligible.get(name, 0),
                limits=limits[name],
                evidence=evidence.get(name),
            ),
            metrics.get(name),
            limits[name],
            periods[name],
            failures.get(name),
            evidence.get(name),
        )
        for name in rows
    }


def read_healths_within(
    connection: "AnyConnection",
    features: Sequence[str],
    *,
    eligible: Mapping[str, int],
    seconds: float,
) -> Mapping[str, Health] | None:
    """Return the health of features as `read_healths` does, the last act of a transaction.

    None if a query takes longer: the transaction has then failed.
    """
    if seconds <= 0:
        return None
    execute(connection, f"SET LOCAL statement_timeout = '{round(seconds * 1000)}ms'")
    try:
        return read_healths(connection, features, eligible=eligible)
    except Exception as error:
        if isinstance(driver_error(error), psycopg.errors.QueryCanceled):
            return None
        raise


def _read_metrics(
    connection: "AnyConnection", periods: Mapping[str, Period]
) -> Mapping[str, JobMetrics]:
    """Return the sums of each feature's jobs within its period, from what `record_rollout_job` writes.

    The five-minute window that contains the start of the period counts completely. A resume splits its
    window, so no earlier job counts.
    """
    if not periods:
        return {}
    parameters = {
        "features": list(periods),
        "begins": [period.begin for period in periods.values()],
        "cuts": [period.cut_at for period in periods.values()],
    }
    rows: dict[str, list[Any]] = {name: [] for name in periods}
    for row in execute(connection, _SQL["metrics"], parameters):
        rows[row.feature].append(row)
    return {name: _metrics(rows[name], period) for name, period in periods.items()}


def _metrics(rows: "Sequence[Any]", period: Period) -> JobMetrics:
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


def _ask(
    source: MetricsSource, periods: Mapping[str, Period]
) -> tuple[dict[str, JobMetrics], dict[str, str]]:
    """Return the metrics that a source has, and why it has no others."""
    metrics, failures = {}, {}
    for name, period in periods.items():
        try:
            metrics[name] = source.read_metrics(name, period)
        except Unavailable as error:
            failures[name] = str(error)
    return metrics, failures


def read_evidence_steps(
    connection: "AnyConnection", feature: str
) -> tuple[Health, tuple[Step, ...]]:
    """Return the health of one feature, with each block that its evidence is made from.

    Raises:
        NotFound: no feature has this name.
    """
    health = read_health(connection, feature)
    if health.evidence is None:
        return health, ()
    row = execute(connection, _SQL["watched"], {"features": [feature]}).one()
    judged = _judged(feature, health.period.processors, row.evidence_began_at, health.limits)
    run, blocks = read_blocks(connection, judged)
    end = window_of(row.now)
    closed = [block for block in blocks if block.window_start < end]
    return health, list_steps(run, closed, health.evidence, health.limits.evidence)


def count_closed_windows(connection: "AnyConnection", lease: "Lease", feature: str) -> None:
    """Count the closed windows that the stored evidence of a feature does not have yet.

    A feature that is judged by another method has no evidence, and a feature that is gone needs none.

    Raises:
        LeaseLost: another process may hold the lease; the caller must not commit.
    """
    row = execute(connection, _SQL["watched"], {"features": [feature]}).one_or_none()
    if row is None or HealthMethod(row.health_method) is not HealthMethod.EVIDENCE:
        return
    processors = Processors(row.processor, row.fallback)
    judged = _judged(feature, processors, row.evidence_began_at, _limits(row))
    advance_run(connection, lease, judged, row.now)


def _limits(row: "Any") -> HealthLimits:
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
    connection: "AnyConnection",
    feature: str,
    stage: Decimal,
    *,
    source: MetricsSource | None = None,
) -> Soaking:
    """Return one feature's health, and how long it was live since it reached the stage with this percentage.

    Its metrics are those of a source or of `rollout_metrics`.
    """
    health = read_health(connection, feature, source=source)
    row = execute(connection, _SQL["reached"], {"feature": feature, "percentage": stage}).one()
    return Soaking(health.period.now, row.reached_at, health, row.inactive_for)


def _read_odd_times(connection: "AnyConnection", features: Sequence[str]) -> dict[str, str]:
    """Return a sentence about an impossible time of each feature that has one."""
    return {
        row.feature: f"{row.place}: {row.column_name} is {row.written}, which cannot be right; "
        "correct this row"
        for row in execute(connection, _SQL["odd_time"], {"features": list(features)})
    }


def _is_old(metrics: JobMetrics) -> bool:
    """Return whether metrics may be stale; only then does the number of eligible repositories count."""
    return (metrics.newest_age or timedelta(0)) > STALE_AFTER


def _find_with_eligible(connection: "AnyConnection", features: Sequence[str]) -> Sequence[str]:
    if not features:
        return ()
    # The start of parallel workers takes longer than the search, which stops at the first repository.
    execute(connection, "SET LOCAL max_parallel_workers_per_gather = 0")
    found = execute(connection, _SQL["any_eligible"], {"features": list(features)})
    names = found.scalars()
    execute(connection, "SET LOCAL max_parallel_workers_per_gather TO DEFAULT")
    return names


def _tally(row: "Any") -> Tally:
    return Tally(jobs=row.jobs or 0, errors=row.errors or 0)


def _by_category(rows: "Sequence[Any]", processor: str) -> Mapping[Category, Tally]:
    tallies = {
        row.category: _tally(row)
        for row in rows
        if row.is_by_category and row.is_by_processor and row.processor == processor
    }
    return {each: tallies[each] for each in Category if each in tallies}
