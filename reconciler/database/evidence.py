"""Evidence of a feature: the run up to the last closed window, and moving it on, once for each window.

Works in the caller's transaction. `planning.evidence` computes the run; this module reads the jobs and keeps
the result. Only the holder of a lease moves a run on.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

from reconciler.database.driver import execute
from reconciler.database.lease import LeaseLost
from reconciler.database.queries import queries
from reconciler.planning.evidence import (
    Block,
    Counts,
    EvidenceRun,
    EvidenceSettings,
    EvidenceState,
    advance,
    find_slow_bucket,
    window_of,
)
from rollout_client.targeting.categories import Category

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection
    from reconciler.database.lease import Lease

_SQL = queries("evidence")


@dataclass(frozen=True, slots=True)
class JudgedFeature:
    """A feature that is judged by evidence."""

    name: str
    processor: str
    """The processor whose jobs are judged."""
    fallback: str
    """The processor of the baseline."""
    began_at: datetime
    """The start of the stage; a run of an earlier stage restarts."""
    settings: EvidenceSettings


def read_run(connection: "AnyConnection", feature: str) -> EvidenceRun | None:
    """Return the evidence of a feature up to its last counted window; None before the first one."""
    return read_runs(connection, [feature]).get(feature)


def read_runs(connection: "AnyConnection", features: Sequence[str]) -> Mapping[str, EvidenceRun]:
    """Return the evidence of the features that have one, as `read_run` does."""
    rows = execute(connection, _SQL["run"], {"features": list(features)})
    return {
        feature: _run(list(of_feature))
        for feature, of_feature in groupby(rows, key=lambda row: row.feature)
    }


def read_open_jobs(
    connection: "AnyConnection", feature: str, run: EvidenceRun, processor: str
) -> Counts:
    """Return the jobs of a processor since the last counted window."""
    row = execute(
        connection,
        _SQL["open_jobs"],
        {
            "feature": feature,
            "processor": processor,
            "began_at": run.began_at,
            "closed_until": run.closed_until,
        },
    ).one()
    return _counts(row)


def advance_run(
    connection: "AnyConnection", lease: "Lease", feature: JudgedFeature, now: datetime
) -> EvidenceRun:
    """Count every closed window that the evidence does not have yet; return the run.

    The transaction either counts the windows and keeps the run, or does neither.

    Args:
        connection: the database; a transaction that writes.
        lease: a lease that this process holds.
        feature: the feature, and how it is judged.
        now: the database's time.

    Raises:
        LeaseLost: another process may hold the lease; the caller must not commit.
    """
    first = EvidenceRun.begin(feature.began_at)
    execute(
        connection,
        _SQL["lock"],
        {
            "feature": feature.name,
            "began_at": first.began_at,
            "closed_until": first.closed_until,
        },
    )
    run = read_run(connection, feature.name)
    if run is None or run.began_at != feature.began_at:
        run = first
    end = window_of(now)
    if run.slow_above is None:
        run = EvidenceRun(
            run.began_at,
            run.closed_until,
            run.states,
            _read_slow_bucket(connection, feature, run.closed_until),
        )
    blocks = _take_blocks(connection, feature, run, end) if end > run.closed_until else ()
    moved = advance(run, blocks, end, feature.settings)
    _write(connection, lease, feature.name, moved)
    return moved


def _take_blocks(
    connection: "AnyConnection", feature: JudgedFeature, run: EvidenceRun, end: datetime
) -> tuple[Block, ...]:
    rows = execute(
        connection,
        _SQL["take_blocks"],
        {
            "feature": feature.name,
            "processor": feature.processor,
            "fallback": feature.fallback,
            "began_at": run.began_at,
            "closed_until": run.closed_until,
            "until": end,
            "slow_above": run.slow_above,
        },
    )
    arms: dict[tuple[datetime, Category], dict[bool, Counts]] = {}
    for row in rows:
        key = row.window_start, Category(row.category)
        arms.setdefault(key, {})[row.is_new] = _counts(
            row, has_threshold=run.slow_above is not None
        )
    return tuple(
        Block(category, window, found.get(False, Counts()), found.get(True, Counts()))
        for (window, category), found in arms.items()
    )


def _read_slow_bucket(
    connection: "AnyConnection", feature: JudgedFeature, until: datetime
) -> int | None:
    rows = execute(
        connection,
        _SQL["durations"],
        {"feature": feature.name, "processor": feature.fallback, "until": until},
    )
    return find_slow_bucket({row.bucket: row.jobs for row in rows})


def _write(connection: "AnyConnection", lease: "Lease", feature: str, run: EvidenceRun) -> None:
    written = execute(
        connection,
        _SQL["write"],
        {
            "feature": feature,
            "lease": lease.name,
            "holder": lease.holder,
            "began_at": run.began_at,
            "closed_until": run.closed_until,
            "slow_above": run.slow_above,
            "states": json.dumps(list(_rows(run.states))),
        },
    ).one_or_none()
    if written is None:
        raise LeaseLost(f"the lease {lease.name} expired while it was held; try again")


def _rows(states: Iterable[EvidenceState]) -> Iterable[dict[str, Any]]:
    for state in states:
        yield {
            "number": state.number,
            "category": state.category.value,
            "regression": state.regression,
            "slowdown": state.slowdown,
            **_columns("baseline", state.baseline),
            **_columns("new", state.new),
        }


def _columns(arm: str, counts: Counts) -> dict[str, int]:
    return {
        f"{arm}_jobs": counts.jobs,
        f"{arm}_errors": counts.errors,
        f"{arm}_timed": counts.timed,
        f"{arm}_slow": counts.slow,
    }


def _run(rows: "Sequence[Any]") -> EvidenceRun:
    return EvidenceRun(
        rows[0].began_at,
        rows[0].closed_until,
        tuple(_state(row) for row in rows if row.number is not None),
        rows[0].slow_above,
    )


def _state(row: "Any") -> EvidenceState:
    return EvidenceState(
        row.number,
        Category(row.category),
        row.regression,
        row.slowdown,
        Counts(row.baseline_jobs, row.baseline_errors, row.baseline_timed, row.baseline_slow),
        Counts(row.new_jobs, row.new_errors, row.new_timed, row.new_slow),
    )


def _counts(row: "Any", *, has_threshold: bool = False) -> Counts:
    """Return counts of jobs; a correction of an earlier window can make a sum negative."""
    jobs = max(0, row.jobs)
    errors = min(max(0, row.errors), jobs)
    if not has_threshold:
        return Counts(jobs, errors)
    timed = max(0, row.timed)
    return Counts(jobs, errors, timed, min(max(0, row.slow), timed))
