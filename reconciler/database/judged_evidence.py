"""The evidence of features at this moment: the stored run, and the jobs that it does not have yet.

Reads in the caller's transaction and writes nothing. Where no watch moves the stored run on, the closed
windows are counted here each time.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from reconciler.database.driver import execute
from reconciler.database.evidence import JudgedFeature, read_runs
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
    from reconciler.database.driver import AnyConnection

_SQL = queries("judged_evidence")


def read_evidence(
    connection: "AnyConnection", features: Sequence[JudgedFeature], now: datetime
) -> Mapping[str, Evidence]:
    """Return the evidence of each feature, the open window included."""
    runs = _read_runs_of_stage(connection, features)
    blocks = _read_blocks(connection, features, runs, everything=False)
    return {each.name: _weigh(each, runs[each.name], blocks[each.name], now) for each in features}


def _weigh(
    feature: JudgedFeature, run: EvidenceRun, blocks: Sequence[Block], now: datetime
) -> Evidence:
    end = window_of(now)
    moved = advance(
        run, (each for each in blocks if each.window_start < end), end, feature.settings
    )
    waiting = (each for each in blocks if each.window_start >= moved.closed_until)
    return weigh(moved, _sum(waiting), feature.settings)


def read_blocks(
    connection: "AnyConnection", feature: JudgedFeature
) -> tuple[EvidenceRun, list[Block]]:
    """Return a run without jobs, and every block since the stage began; the last ones may be open."""
    stored = _read_runs_of_stage(connection, [feature])[feature.name]
    run = EvidenceRun.begin(feature.began_at, stored.slow_above)
    blocks = _read_blocks(connection, [feature], {feature.name: run}, everything=True)
    return run, blocks[feature.name]


def _read_runs_of_stage(
    connection: "AnyConnection", features: Sequence[JudgedFeature]
) -> Mapping[str, EvidenceRun]:
    stored = read_runs(connection, [each.name for each in features])
    first = {each.name: EvidenceRun.begin(each.began_at) for each in features}
    return first | {
        name: run for name, run in stored.items() if run.began_at == first[name].began_at
    }


def _read_blocks(
    connection: "AnyConnection",
    features: Sequence[JudgedFeature],
    runs: Mapping[str, EvidenceRun],
    *,
    everything: bool,
) -> Mapping[str, list[Block]]:
    asked = [runs[each.name] for each in features]
    rows = execute(
        connection,
        _SQL["uncounted"],
        {
            "features": [each.name for each in features],
            "processors": [each.processor for each in features],
            "fallbacks": [each.fallback for each in features],
            "began_at": [run.began_at for run in asked],
            "closed_until": [run.closed_until for run in asked],
            "slow_above": [run.slow_above for run in asked],
            "everything": everything,
        },
    )
    found: dict[str, dict[tuple[datetime, Category], Block]] = {each.name: {} for each in features}
    for row in rows:
        blocks, key = found[row.feature], (row.window_start, Category(row.category))
        block = blocks.get(key, Block(key[1], key[0]))
        counts = _counts(row, has_limit=runs[row.feature].slow_above is not None)
        blocks[key] = replace(block, new=counts) if row.is_new else replace(block, baseline=counts)
    return {name: list(blocks.values()) for name, blocks in found.items()}


def _counts(row: "Any", *, has_limit: bool) -> Counts:
    """Return counts of jobs; a correction of an earlier window can make a sum negative."""
    jobs, timed = max(0, row.jobs), max(0, row.timed) if has_limit else 0
    return Counts(jobs, min(max(0, row.errors), jobs), timed, min(max(0, row.slow), timed))


def _sum(blocks: Iterable[Block]) -> Arms:
    arms = Arms()
    for block in blocks:
        arms = Arms(arms.baseline + block.baseline, arms.new + block.new)
    return arms
