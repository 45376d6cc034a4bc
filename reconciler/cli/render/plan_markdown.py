"""Markdown for a pull request: a plan, the difference of two files, and errors.

Every text that people wrote, in the file, the database or git, is in a code span, so that nothing
in it formats, links or mentions; the program's own sentences hold only numbers and checked names.
The whole stays under GitHub's limit for a comment.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import click

from reconciler.cli.render.plan_text import (
    Outcome,
    is_shown,
    named_changes,
    plan_text,
    shown_changes,
    summary,
)
from reconciler.cli.render.text import (
    fixed_width,
    for_cell,
    for_line,
    for_markdown,
    sentence_for_markdown,
)
from reconciler.cli.render.wording import (
    REFUSED,
    describe_absence,
    describe_allowed,
    mark_drift_lines,
    ways_on,
)
from reconciler.errors import FileInvalid, ReconcilerError, Stale
from reconciler.planning.blast_radius import BlastRadius
from reconciler.planning.changes import ListChange, ScalarChange
from reconciler.planning.drift import describe_drift
from reconciler.planning.guard_names import Allowed, GuardName
from reconciler.planning.guards import Finding
from reconciler.planning.plan import FeaturePlan, Plan
from reconciler.planning.plan_inputs import Source
from reconciler.planning.report import make_report
from reconciler.wording import count, counted, short_commit, short_limit

MAX_CHARACTERS: Final = 60_000
"""GitHub refuses a comment of more than 65,536; the rest is for text that a workflow adds."""
MAX_FINDINGS: Final = 50
MAX_MESSAGE: Final = 400
"""Characters of one message; with `MAX_FINDINGS` of them a comment stays under GitHub's limit."""

_CUT: Final = "_The rest does not fit here; to see it:_ `reconcile --dry-run`"
_ENTRIES_IN_A_CELL: Final = 10
_TITLES: Final = {
    "notifications": "Receivers of notifications",
    "freezes": "Freezes",
    "processors": "Prices of processors",
    "approvals": "Approvals",
}


def plan_markdown(plan: Plan, source: Source, outcome: Outcome) -> str:
    """Return a plan as Markdown, with its digest as a hidden marker in the last line."""
    report = make_report(plan, source, applied=outcome is Outcome.APPLIED)
    marker = f"<!-- rollout-plan {report.plan_digest} -->"
    return f"{joined(_parts(plan, source, outcome), MAX_CHARACTERS - len(marker) - 2)}\n\n{marker}"


def _parts(plan: Plan, source: Source, outcome: Outcome) -> Iterator[str]:
    yield f"### {_headline(plan)}"
    yield (
        f"{for_markdown(source.file)}{_where(source)} against generation "
        f"{plan.generation}. "
        f"{REFUSED if plan.is_refused else sentence_for_markdown(summary(plan, outcome))}"
    )
    if plan.is_refused:
        yield "\n".join(f"- {way}" for way in ways_on(plan))
    for feature in plan.features:
        if is_shown(feature):
            yield from feature_parts(feature, plan.allowed_for(feature.name))
    yield from marks_parts(plan)
    yield from categories_parts(plan)
    yield from named_parts(plan)
    yield from finding_parts(plan.rule_findings, plan.allowed_for_all)
    if plan.has_changes:
        with fixed_width():
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
        return "Rollout: no change"
    return f"Rollout: {_counts(plan)}"


def _counts(plan: Plan) -> str:
    radii = [each.blast_radius for each in plan.features if each.blast_radius is not None]
    gained, lost = sum(each.gained for each in radii), sum(each.lost for each in radii)
    features = sum(each.change_count > 0 for each in plan.features)
    return (
        f"{counted(plan.change_count, 'change')} in {counted(features, 'feature')}, "
        f"+{count(gained)} gain, −{count(lost)} lose"
    )


def feature_parts(feature: FeaturePlan, allowed: Mapping[GuardName, Allowed]) -> Iterator[str]:
    """Yield the changes of one feature."""
    yield f"#### {for_markdown(feature.name)} ({feature.action})"
    if feature.overrides.in_force is not None:
        override = feature.overrides.in_force
        limit = short_limit(override.percentage)
        author, reason = for_markdown(override.by), for_markdown(override.reason)
        yield f"An override is in force: {limit} by {author}: {reason}"
        if not feature.overrides.is_in_file and feature.overrides.kept is None:
            absence = describe_absence(feature, override)
            yield f"{absence[0].upper()}{absence[1:]}."
    yield from finding_parts(feature.findings, allowed)
    if feature.approvers:
        yield f"> **Approved** by {', '.join(for_markdown(each.text) for each in feature.approvers)}"
    for drift in feature.drift:
        yield f"> **Drift:** {for_markdown(describe_drift(drift))}"
    rows = [
        *(
            ("override", short_limit(each.before), short_limit(each.after))
            for each in feature.edited_limits
        ),
        *(_change(change) for change in shown_changes(feature)),
    ]
    if rows:
        yield _table(("field", "before", "after"), rows)
    if feature.unresolved:
        names = _names(feature.unresolved, len(feature.unresolved))
        yield f"Not in the database yet: {names}"
    if feature.blast_radius is not None:
        yield from _blast_radius(feature.blast_radius)
    if feature.routing_shift is not None:
        yield f"Jobs: {for_markdown(feature.routing_shift.summary)}."
    for warning in feature.warnings:
        yield f"> **Warning:** {for_markdown(warning)}"


def finding_parts(
    findings: Iterable[Finding], allowed: Mapping[GuardName, Allowed]
) -> Iterator[str]:
    """Yield what guards refuse or would refuse."""
    for finding in findings:
        by = allowed.get(finding.guard)
        verdict = "Refused" if by is None else "Allowed"
        yield f"> **{verdict}** by `{finding.guard}`: {sentence_for_markdown(finding.message)}{_allowing(by)}"


def _allowing(by: Allowed | None) -> str:
    allowed = describe_allowed(by)
    return f" ({for_markdown(allowed[2:-1])})" if allowed else ""


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
        f"{counted(radius.repositories, 'repository')} are eligible: "
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
        yield _folded("By category and owner", _table(("repositories", "gain", "lose"), rows))


def marks_parts(plan: Plan) -> Iterator[str]:
    """Yield the repositories that become test repositories, and those that no longer are."""
    marks = plan.test_repositories
    for title, entries in (
        ("Marked as test", marks.added.values()),
        ("No longer marked as test", marks.removed.values()),
        ("To be marked as test, not in the database yet", marks.unresolved),
    ):
        if entries:
            yield f"{title}: {_names(entries, len(entries))}"
    for text in mark_drift_lines(marks):
        yield f"> **Drift:** {for_markdown(text)}"


def categories_parts(plan: Plan) -> Iterator[str]:
    """Yield the thresholds that change, if any does."""
    if plan.categories.changed:
        names = ", ".join(map(for_markdown, plan.categories.changed))
        yield f"Changed thresholds: {names}. All repositories are categorised again."


def named_parts(plan: Plan) -> Iterator[str]:
    """Yield what changes about the receivers of notifications, and about the freezes."""
    for key, changes in named_changes(plan):
        lines = [
            *(
                f"- **+** {for_markdown(name)}: {for_markdown(each.summary)}"
                for name, each in changes.added.items()
            ),
            *(
                f"- **−** {for_markdown(name)}: {for_markdown(each.summary)}"
                for name, each in changes.removed.items()
            ),
            *(
                f"- {for_markdown(name)}: {for_markdown(before.summary)} → {for_markdown(after.summary)}"
                for name, (before, after) in changes.changed.items()
            ),
        ]
        yield "\n".join([f"{_TITLES[key]}:", "", *lines])


def _names(names: Iterable[str], number: int, shown: int = _ENTRIES_IN_A_CELL) -> str:
    some = [for_markdown(name) for name, _ in zip(names, range(shown), strict=False)]
    more = f" … ({count(number - len(some))} more)" if number > len(some) else ""
    return ", ".join(some) + more


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *(map(for_cell, row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _folded(title: str, body: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"


def difference_markdown(plan: Plan, file: str) -> str:
    """Return the difference between two files as Markdown, for a check without a database."""
    return joined(_difference_parts(plan, file))


def _difference_parts(plan: Plan, file: str) -> Iterator[str]:
    changes = counted(plan.change_count, "change") if plan.has_changes else "no change"
    yield f"### Rollout: {changes} against the base"
    yield (
        f"{for_markdown(file)} is valid. It was compared with the file that it replaces, and not with "
        "a database: the repositories that gain or lose are counted where the database can be read."
    )
    if plan.refusing:
        guards = ", ".join(sorted({f"`{finding.guard}`" for _, finding in plan.refusing}))
        yield f"> **An apply would refuse this** until a person allows it by name: {guards}"
    for feature in plan.features:
        if is_shown(feature):
            yield from feature_parts(feature, plan.allowed_for(feature.name))
    yield from marks_parts(plan)
    yield from categories_parts(plan)
    yield from named_parts(plan)


def errors_markdown(errors: Sequence[ReconcilerError]) -> str:
    """Return what ended a command as Markdown, with the first findings of each file."""
    return joined(part for error in errors for part in _error_parts(error))


def _error_parts(error: ReconcilerError) -> Iterator[str]:
    match error:
        case FileInvalid():
            total = error.total
            yield f"### Rollout: {for_markdown(error.path)} has {counted(total, 'error')}"
            shown = error.findings[:MAX_FINDINGS]
            yield "\n".join(
                f"- line {each.line}, column {each.column}: {_cut(each.message)}" for each in shown
            )
            if total > len(shown):
                yield f"… and {count(total - len(shown))} more."
        case Stale():
            yield f"### Rollout: no action needed\n\n{_cut(str(error))}"
        case _:
            yield f"### Rollout: failed\n\n{_cut(str(error))}"


def _cut(message: str) -> str:
    shown = for_line(message)
    return for_markdown(shown if len(shown) <= MAX_MESSAGE else f"{shown[:MAX_MESSAGE]} …")


def joined(parts: Iterable[str], most: int = MAX_CHARACTERS) -> str:
    """Return parts of Markdown as one text with at most this number of characters; a cut is reported."""
    room = most - len(_CUT) - 2
    fitting: list[str] = []
    for part in parts:
        room -= len(part) + 2
        if room < 0:
            fitting.append(_CUT)
            break
        fitting.append(part)
    return "\n\n".join(fitting)


def code_block(text: str) -> str:
    """Return text as a block of code that no fence in the text ends."""
    harmless = text.replace("```", "`\u200b``")
    return f"```text\n{harmless}\n```"
