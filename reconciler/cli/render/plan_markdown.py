"""A plan as a pull request shows it: a headline with counts, tables, details folded.

Every text that people wrote, in the file, the database or git, stands in a code span, so that nothing
in it formats, links or mentions; sentences of our own hold figures and checked names alone. The whole
stays under GitHub's limit for a comment.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import click

from reconciler.cli.render.drift_words import describe_drift
from reconciler.cli.render.escape import for_cell, for_markdown
from reconciler.cli.render.markdown import MAX_CHARACTERS, code_block, joined
from reconciler.cli.render.plan_text import (
    Outcome,
    is_shown,
    plan_text,
    shown_changes,
    summary,
)
from reconciler.cli.render.refusal import HEADLINE, ways_on
from reconciler.planning.guards import GuardName
from reconciler.planning.plan import BlastRadius, FeaturePlan, ListChange, Plan, ScalarChange
from reconciler.planning.plan_inputs import Source
from reconciler.planning.report import make_report
from reconciler.wording import count, counted, short_commit

_ENTRIES_IN_A_CELL: Final = 10


def plan_markdown(plan: Plan, source: Source, outcome: Outcome) -> str:
    """Return a plan as Markdown, with its digest as a hidden marker in the last line."""
    report = make_report(plan, source, applied=outcome is Outcome.APPLIED)
    marker = f"<!-- rollout-plan {report.plan_digest} -->"
    return f"{joined(_parts(plan, source, outcome), MAX_CHARACTERS - len(marker) - 2)}\n\n{marker}"


def _parts(plan: Plan, source: Source, outcome: Outcome) -> Iterator[str]:
    yield f"### {_headline(plan)}"
    yield (
        f"{for_markdown(source.file)}{_where(source)} against generation "
        f"{plan.generation}. {HEADLINE if plan.is_refused else summary(plan, outcome)}"
    )
    if plan.is_refused:
        yield "\n".join(f"- {way}" for way in ways_on(plan))
    for feature in plan.features:
        if is_shown(feature):
            yield from feature_parts(feature, plan.allowed_for(feature.name))
    yield from marks_parts(plan)
    yield from categories_parts(plan)
    if plan.has_changes:
        text = plan_text(plan, source, outcome)
        yield _folded("As in a terminal", code_block(click.unstyle(text)))


def _where(source: Source) -> str:
    uncommitted = " with uncommitted changes" if source.uncommitted else ""
    if source.commit is None:
        return uncommitted or " outside git"
    return f" at {for_markdown(short_commit(source.commit))}{uncommitted}"


def _headline(plan: Plan) -> str:
    if plan.is_refused:
        return f"Rollout: refused, a person decides ({_counts(plan)})"
    if not plan.has_changes:
        return "Rollout: nothing changes"
    return f"Rollout: {_counts(plan)}"


def _counts(plan: Plan) -> str:
    radii = [each.blast_radius for each in plan.features if each.blast_radius is not None]
    gained, lost = sum(each.gained for each in radii), sum(each.lost for each in radii)
    features = sum(each.change_count > 0 for each in plan.features)
    return (
        f"{counted(plan.change_count, 'change')} in {counted(features, 'feature')}, "
        f"+{count(gained)} gain, −{count(lost)} lose"
    )


def feature_parts(feature: FeaturePlan, allowed: frozenset[GuardName]) -> Iterator[str]:
    """Yield what happens to one feature."""
    yield f"#### {for_markdown(feature.name)} ({feature.action})"
    if feature.overrides.in_force is not None:
        yield f"An override is in force: {for_markdown(feature.overrides.in_force.reason)}"
    for finding in feature.findings:
        verdict = "Allowed" if finding.guard in allowed else "Refused"
        yield f"> **{verdict}** by `{finding.guard}`: {finding.message}"
    for drift in feature.drift:
        yield f"> **Drift:** {for_markdown(describe_drift(drift))}"
    rows = [_change(change) for change in shown_changes(feature)]
    if rows:
        yield _table(("field", "before", "after"), rows)
    if feature.unresolved:
        names = _names(feature.unresolved, len(feature.unresolved))
        yield f"Not known to the database yet: {names}"
    if feature.blast_radius is not None:
        yield from _blast_radius(feature.blast_radius)
    for warning in feature.warnings:
        yield f"> **Warning:** {for_markdown(warning)}"


def _change(change: ScalarChange | ListChange) -> tuple[str, ...]:
    match change:
        case ScalarChange(field, before, after):
            shown = "" if before is None else for_markdown(field.show(before))
            return field.name, shown, for_markdown(field.show(after))
        case ListChange(field, added, removed, resolved):
            came = [
                f"{sign} {_names(entries.values(), len(entries))}"
                for sign, entries in (("+", added), ("=", resolved))
                if entries
            ]
            went = f"− {_names(removed.values(), len(removed))}" if removed else ""
            return field.name, went, "<br>".join(came)


def _blast_radius(radius: BlastRadius) -> Iterator[str]:
    yield (
        f"**{count(radius.before)} → {count(radius.after)}** of "
        f"{counted(radius.repositories, 'repository')} are in: "
        f"**+{count(radius.gained)}** gain, **−{count(radius.lost)}** lose."
    )
    for sign, sample, number in (
        ("Gain", radius.sample_gained, radius.gained),
        ("Lose", radius.sample_lost, radius.lost),
    ):
        if sample:
            yield f"{sign}: {_names(sample, number, shown=len(sample))}"
    moved = [
        (kind, name, count(counts.gained), count(counts.lost))
        for kind, group in (("category", radius.by_category), ("owner", radius.by_owner))
        for name, counts in group.items()
    ]
    if moved:
        rows = [
            (f"{kind} {for_markdown(name)}", gained, lost) for kind, name, gained, lost in moved
        ]
        yield _folded("By category and owner", _table(("who", "gain", "lose"), rows))


def marks_parts(plan: Plan) -> Iterator[str]:
    """Yield which repositories become test repositories, and which no longer are."""
    marks = plan.test_repositories
    for title, entries in (
        ("Marked as test", marks.added.values()),
        ("No longer marked as test", marks.removed.values()),
        ("To be marked as test, not known to the database yet", marks.unresolved),
    ):
        if entries:
            yield f"{title}: {_names(entries, len(entries))}"


def categories_parts(plan: Plan) -> Iterator[str]:
    """Yield which thresholds move, if any does."""
    if plan.categories.changed:
        names = ", ".join(map(for_markdown, plan.categories.changed))
        yield f"Thresholds move: {names}. Every repository is categorised again."


def _names(names: Iterable[str], number: int, shown: int = _ENTRIES_IN_A_CELL) -> str:
    some = [for_markdown(name) for name, _ in zip(names, range(shown), strict=False)]
    more = f" … ({count(number - len(some))} more)" if number > len(some) else ""
    return ", ".join(some) + more


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *(map(for_cell, row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _folded(title: str, body: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"
