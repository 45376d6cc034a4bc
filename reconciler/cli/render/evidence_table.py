"""The evidence of a feature as a table: each block with its factor, and the two lines."""

import math
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.render.text import Column, for_line, table, wrapped
from reconciler.planning.evidence import EvidenceTest
from reconciler.planning.health import shown_evidence
from reconciler.wording import count, show_time

if TYPE_CHECKING:
    from reconciler.operations.health import Explained
    from reconciler.planning.evidence import Counts
    from reconciler.planning.evidence_series import Step

_MOST_LOG = 700.0


def evidence_text(explained: "Explained") -> str:
    """Return the table of a feature, with the value of each test and the lines below it."""
    health = explained.health
    title = click.style(for_line(explained.feature), bold=True)
    head = [
        f"{title}: {health.judgement.verdict}",
        *wrapped(for_line(health.sentence), indent="    "),
    ]
    evidence = health.evidence
    if evidence is None:
        why = (
            "the method is threshold, or the metrics do not come from the database: "
            "there is no evidence to explain"
        )
        return "\n".join([*head, *wrapped(why, indent="    ")])
    is_slowdown = evidence.test is EvidenceTest.SLOWDOWN
    processors = health.period.processors
    columns = (
        Column("window"),
        Column("category"),
        Column(for_line(processors.processor), right=True),
        Column(for_line(processors.fallback), right=True),
        Column("factor", right=True),
        Column("product", right=True),
    )
    rows = [_row(step, is_slowdown=is_slowdown) for step in explained.steps]
    shown = table(columns, rows) if rows else "    no window has closed since the start"
    values = ", ".join(
        f"{test.value} {shown_evidence(value)}" for test, value in evidence.by_test.items()
    )
    lines = (
        f"since {show_time(evidence.start.at)}: the start with the most weight in {evidence.test.value}; "
        "the value of a test is the weighted sum over all starts, divided by the number of tests",
        f"evidence: {values}",
        f"warns at {count(math.ceil(evidence.warn_line))}, "
        f"rolls back at {count(math.ceil(evidence.fail_line))}",
    )
    foot = [part for line in lines for part in wrapped(line, indent="    ")]
    return "\n".join([*head, "", shown, "", *foot])


def evidence_as_json(explained: "Explained") -> dict[str, Any]:
    """Return the blocks and factors of a feature for JSON."""
    evidence = explained.health.evidence
    return {
        "name": explained.feature,
        "verdict": explained.health.judgement.verdict,
        "tests": {}
        if evidence is None
        else {test.value: value for test, value in evidence.by_test.items()},
        "since": None if evidence is None else evidence.start.at,
        "warns_at": None if evidence is None else evidence.warn_line,
        "fails_at": None if evidence is None else evidence.fail_line,
        "blocks": [
            {
                "window": step.block.window_start,
                "category": step.block.category,
                "processor": _counts(step.block.new),
                "fallback": _counts(step.block.baseline),
                "regression_factor": _exp(step.regression),
                "slowdown_factor": _exp(step.slowdown),
            }
            for step in explained.steps
        ],
    }


def _row(step: "Step", *, is_slowdown: bool) -> tuple[str, ...]:
    new, baseline = step.block.new, step.block.baseline
    factor = step.slowdown if is_slowdown else step.regression
    so_far = step.slowdown_so_far if is_slowdown else step.regression_so_far
    return (
        show_time(step.block.window_start),
        step.block.category.value,
        _jobs(new, is_slowdown=is_slowdown),
        _jobs(baseline, is_slowdown=is_slowdown),
        f"{_exp(factor):,.2f}",
        f"{_exp(so_far):,.2f}",
    )


def _jobs(counts: "Counts", *, is_slowdown: bool) -> str:
    arm = counts.slowed if is_slowdown else counts.failed
    return f"{count(arm.hits)} of {count(arm.jobs)}"


def _counts(counts: "Counts") -> dict[str, int]:
    return {
        "jobs": counts.jobs,
        "errors": counts.errors,
        "timed": counts.timed,
        "slow": counts.slow,
    }


def _exp(log_value: float) -> float:
    return math.exp(min(log_value, _MOST_LOG))
