"""The evidence of a feature at this moment: the stored run, and the jobs that it does not have yet.

Reads in the caller's transaction and writes nothing. Where no watch moves the stored run on, the closed
windows are counted here each time.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from reconciler.database.evidence import JudgedFeature, read_run
from reconciler.database.queries import queries
from reconciler.planning.evidence import (
    Arms,
    Block,
    Counts,
    EvidenceRun,
    advance,
    window_of,
)
from reconciler.planning.evidence_value import Evidence, weigh
from rollout_client.targeting.categories import Category

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

_SQL = queries("judged_evidence")


def read_evidence(connection: "Connection", feature: JudgedFeature, now: datetime) -> Evidence:
    """Return the evidence of a feature, the open window included."""
    run = _read_run_of_stage(connection, feature)
    end = window_of(now)
    blocks = _read_blocks(connection, feature, run, everything=False)
    moved = advance(
        run, (each for each in blocks if each.window_start < end), end, feature.settings
    )
    waiting = (each for each in blocks if each.window_start >= moved.closed_until)
    return weigh(moved, _sum(waiting), feature.settings)


def read_blocks(
    connection: "Connection", feature: JudgedFeature
) -> tuple[EvidenceRun, list[Block]]:
    """Return a run without jobs, and every block since the stage began; the last ones may be open."""
    stored = _read_run_of_stage(connection, feature)
    run = EvidenceRun.begin(feature.began_at, stored.slow_above)
    return run, _read_blocks(connection, feature, run, everything=True)


def _read_run_of_stage(connection: "Connection", feature: JudgedFeature) -> EvidenceRun:
    run = read_run(connection, feature.name)
    if run is not None and run.began_at == feature.began_at:
        return run
    return EvidenceRun.begin(feature.began_at)


def _read_blocks(
    connection: "Connection", feature: JudgedFeature, run: EvidenceRun, *, everything: bool
) -> list[Block]:
    rows = connection.execute(
        text(_SQL["uncounted"]),
        {
            "feature": feature.name,
            "processor": feature.processor,
            "fallback": feature.fallback,
            "began_at": run.began_at,
            "closed_until": run.closed_until,
            "slow_above": run.slow_above,
            "everything": everything,
        },
    )
    blocks: dict[tuple[datetime, Category], Block] = {}
    for row in rows:
        key = row.window_start, Category(row.category)
        block = blocks.get(key, Block(key[1], key[0]))
        counts = _counts(row, has_limit=run.slow_above is not None)
        blocks[key] = replace(block, new=counts) if row.is_new else replace(block, baseline=counts)
    return list(blocks.values())


def _counts(row: "Row[Any]", *, has_limit: bool) -> Counts:
    """Return counts of jobs; a correction of an earlier window can make a sum negative."""
    jobs, timed = max(0, row.jobs), max(0, row.timed) if has_limit else 0
    return Counts(jobs, min(max(0, row.errors), jobs), timed, min(max(0, row.slow), timed))


def _sum(blocks: Iterable[Block]) -> Arms:
    arms = Arms()
    for block in blocks:
        arms = Arms(arms.baseline + block.baseline, arms.new + block.new)
    return arms
