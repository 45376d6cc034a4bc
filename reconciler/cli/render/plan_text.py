"""A plan as text for a terminal."""

from collections.abc import Iterator, Mapping
from enum import Enum, auto
from typing import Final

import click

from reconciler.cli.render.text import for_line, line, listed, paragraph, wrapped
from reconciler.cli.render.wording import (
    REFUSED,
    describe_absence,
    describe_allowed,
    mark_drift_lines,
    ways_on,
)
from reconciler.planning.approval_rule import ApprovalsPlan
from reconciler.planning.blast_radius import BlastRadius
from reconciler.planning.changes import Change, ListChange, ScalarChange
from reconciler.planning.desired import default_configuration
from reconciler.planning.drift import describe_drift
from reconciler.planning.freezes import FreezesPlan
from reconciler.planning.guard_names import Allowed, GuardName
from reconciler.planning.guards import Finding
from reconciler.planning.notifications import TargetsPlan
from reconciler.planning.plan import FeatureAction, FeaturePlan, Plan
from reconciler.planning.plan_inputs import Source
from reconciler.planning.processors import ProcessorsPlan
from reconciler.wording import count, counted, gains, short_commit, short_limit
from rollout_client.targeting.categories import Threshold

NamedPlan = TargetsPlan | FreezesPlan | ProcessorsPlan | ApprovalsPlan

_SHOWN_ENTRIES: Final = 20

_SIGNS: Final = {
    FeatureAction.CREATE: ("+", "green"),
    FeatureAction.UPDATE: ("~", "yellow"),
    FeatureAction.DEACTIVATE: ("-", "red"),
    FeatureAction.NONE: ("=", None),
}
_ALWAYS_SHOWN: Final = frozenset({"strategy", "percentage"})
_VERBS: Final = {
    FeatureAction.CREATE: ("create", "created"),
    FeatureAction.UPDATE: ("change", "changed"),
    FeatureAction.DEACTIVATE: ("deactivate", "deactivated"),
}


class Outcome(Enum):
    """The outcome of the printed plan."""

    PREVIEWED = auto()
    PROPOSED = auto()
    APPLIED = auto()
    REFUSED = auto()


def plan_text(plan: Plan, source: Source, outcome: Outcome) -> str:
    """Return a plan with its headline, its changes, and its summary."""
    parts = ["\n".join(wrapped(_headline(plan, source)))]
    parts += [
        "\n".join(_feature(feature, plan.allowed_for(feature.name)))
        for feature in plan.features
        if is_shown(feature)
    ]
    if len(plan.test_repositories) or plan.test_repositories.unresolved:
        parts.append("\n".join(_marks(plan)))
    if plan.categories.changed:
        parts.append("\n".join(_categories(plan)))
    for title, changes in named_changes(plan):
        parts.append("\n".join(_named(title, changes)))
    if plan.rule_findings:
        parts.append("\n".join(_findings(plan.rule_findings, plan.allowed_for_all)))
    return "\n\n".join([*parts, fitted_summary(plan, outcome)])


def summary(plan: Plan, outcome: Outcome) -> str:
    """Return the last line: how much changes, and whether it was written."""
    if plan.is_refused:
        return "\n".join([REFUSED, *_ways_on(plan)])
    if not plan.has_changes:
        written = "" if outcome is Outcome.APPLIED else " Nothing was written."
        limited = [
            for_line(each.name) for each in plan.features if each.overrides.in_force is not None
        ]
        under = f", under the override of {', '.join(limited)}" if limited else ""
        return f"Nothing to change: the live state matches the file{under}.{written}"
    applied = outcome is Outcome.APPLIED
    features = [
        f"{counted(number, 'feature')} {'' if applied else 'to '}{_VERBS[action][applied]}"
        for action in _VERBS
        if (number := sum(feature.action is action for feature in plan.features))
    ]
    changes = counted(plan.change_count, "change")
    head = f"{'Applied' if applied else 'Plan'}: {', '.join([*features, changes])}"
    match outcome:
        case Outcome.PREVIEWED:
            return f"{head}. Nothing was written."
        case Outcome.PROPOSED | Outcome.REFUSED:
            return f"{head}."
        case Outcome.APPLIED:
            return f"{head}, generation {plan.next_generation}."


def fitted_summary(plan: Plan, outcome: Outcome) -> str:
    """Return the last line over as many lines as the terminal needs."""
    text = summary(plan, outcome)
    return text if plan.is_refused else "\n".join(wrapped(text, hanging=""))


def _headline(plan: Plan, source: Source) -> str:
    applied = f" ({short_commit(plan.applied_commit)})" if plan.applied_commit else ""
    return f"{for_line(source.file)}{_where(source)} against generation {plan.generation}{applied}"


def _where(source: Source) -> str:
    uncommitted = ", uncommitted," if source.uncommitted else ""
    if source.commit is None:
        return uncommitted or " outside git"
    return f" at {short_commit(source.commit)}{uncommitted}"


def is_shown(feature: FeaturePlan) -> bool:
    """Return whether a plan has anything to show about a feature."""
    return (
        feature.action is not FeatureAction.NONE
        or feature.overrides.in_force is not None
        or bool(feature.warnings or feature.findings)
        or (feature.blast_radius is not None and feature.blast_radius.moves)
    )


def _feature(feature: FeaturePlan, allowed: Mapping[GuardName, Allowed]) -> Iterator[str]:
    sign, color = _SIGNS[feature.action]
    yield click.style(f"{sign} {for_line(feature.name)}", fg=color, bold=True)
    if feature.overrides.in_force is not None:
        yield from _override(feature)
    for drift in feature.drift:
        yield from paragraph("drift", for_line(describe_drift(drift)), "yellow")
    for edited in feature.edited_limits:
        limits = f"{short_limit(edited.before)} → {short_limit(edited.after)}"
        yield from paragraph("override", limits)
    for change in shown_changes(feature):
        yield from _change(change, feature.unresolved)
    if feature.blast_radius is not None:
        yield from _eligible(feature.blast_radius)
    if feature.routing_shift is not None:
        yield from paragraph("jobs", for_line(feature.routing_shift.summary))
    yield from _findings(feature.findings, allowed)
    if feature.approvers:
        people = ", ".join(each.text for each in feature.approvers)
        yield from paragraph("approved", for_line(people))
    for warning in feature.warnings:
        yield from paragraph("warning", for_line(warning), "yellow")


def _findings(findings: tuple[Finding, ...], allowed: Mapping[GuardName, Allowed]) -> Iterator[str]:
    for finding in findings:
        by = allowed.get(finding.guard)
        label, color = ("refused", "red") if by is None else ("allowed", None)
        where = describe_allowed(by)
        yield from paragraph(label, for_line(f"{finding.guard}: {finding.message}{where}"), color)


def _override(feature: FeaturePlan) -> Iterator[str]:
    override = feature.overrides.in_force
    if override is not None:
        limit = short_limit(override.percentage)
        text = f"{limit}: {for_line(override.reason)} ({for_line(override.by)})"
        yield from paragraph("override", text)
        if not feature.overrides.is_in_file and feature.overrides.kept is None:
            yield from paragraph("", f"{describe_absence(feature, override)}")


def _ways_on(plan: Plan) -> Iterator[str]:
    for way in ways_on(plan):
        yield "\n".join(wrapped(for_line(way), indent="  ", hanging="  "))


def shown_changes(feature: FeaturePlan) -> list[Change]:
    """Return a feature's changes, without the defaults of a new feature."""
    return [each for each in feature.changes if not _is_default_of_a_new_feature(feature, each)]


def _is_default_of_a_new_feature(feature: FeaturePlan, change: Change) -> bool:
    return (
        feature.action is FeatureAction.CREATE
        and isinstance(change, ScalarChange)
        and change.field.name not in _ALWAYS_SHOWN
        and change.after == change.field.read(default_configuration(feature.name))
    )


def _change(change: Change, unresolved: tuple[str, ...]) -> Iterator[str]:
    match change:
        case ScalarChange(field, None, after):
            yield from paragraph(field.name, for_line(field.show(after)))
        case ScalarChange(field, before, after):
            yield from paragraph(
                field.name, f"{for_line(field.show(before))} → {for_line(field.show(after))}"
            )
        case ListChange(field, added, removed, resolved):
            unknown = len(set(added.values()) & {name.lower() for name in unresolved})
            note = f"({count(unknown)} not in the database yet)" if unknown else ""
            entries = [
                *_signed("+", added, "green"),
                *_signed("−", removed, "red"),
                *_signed("=", resolved, None),
            ]
            yield from listed(field.name, entries, "   ", len(change), note)


def _signed(sign: str, entries: Mapping[str, str], color: str | None) -> Iterator[str]:
    for name in list(entries.values())[:_SHOWN_ENTRIES]:
        yield click.style(f"{sign} {for_line(name)}", fg=color)


def _eligible(radius: BlastRadius) -> Iterator[str]:
    yield line(
        "eligible",
        f"{count(radius.before)} → {count(radius.after)} of {counted(radius.repositories, 'repository')}"
        f"   +{count(radius.gained)} gain   −{count(radius.lost)} lose",
    )
    by_category = [
        f"{category} {gains(moved.gained, moved.lost)}"
        for category, moved in radius.by_category.items()
    ]
    if by_category:
        yield from listed("", by_category, "   ", len(by_category))
    for label, sample, number in (
        ("gain", radius.sample_gained, radius.gained),
        ("lose", radius.sample_lost, radius.lost),
    ):
        if sample:
            yield from listed(label, [for_line(name) for name in sample], ", ", number)


def _marks(plan: Plan) -> Iterator[str]:
    marks = plan.test_repositories
    yield click.style("~ test repositories", fg="yellow", bold=True)
    entries = [*_signed("+", marks.added, "green"), *_signed("−", marks.removed, "red")]
    unknown = len(marks.unresolved)
    note = f"({count(unknown)} not in the database yet)" if unknown else ""
    if entries or unknown:
        yield from listed("marked", entries, "   ", len(entries), note)
    for text in mark_drift_lines(marks):
        yield from paragraph("drift", for_line(text), "yellow")


def _categories(plan: Plan) -> Iterator[str]:
    yield click.style("~ categories", fg="yellow", bold=True)
    for category in plan.categories.changed:
        before, after = plan.categories.before[category], plan.categories.after[category]
        yield from paragraph(category, f"{_limits(before)} → {_limits(after)}")
    yield line("", "all repositories are categorised again")


def named_changes(plan: Plan) -> Iterator[tuple[str, NamedPlan]]:
    """Yield the keys of the file beside `features` with things that come, go or change."""
    if len(plan.notifications):
        yield "notifications", plan.notifications
    if len(plan.freezes):
        yield "freezes", plan.freezes
    if len(plan.processors):
        yield "processors", plan.processors
    if len(plan.approvals):
        yield "approvals", plan.approvals


def _named(title: str, changes: NamedPlan) -> Iterator[str]:
    yield click.style(f"~ {title}", fg="yellow", bold=True)
    for name, each in changes.added.items():
        text = for_line(f"+ {name}: {each.summary}")
        yield from paragraph("added", click.style(text, fg="green"))
    for name, each in changes.removed.items():
        text = for_line(f"− {name}: {each.summary}")
        yield from paragraph("removed", click.style(text, fg="red"))
    for name, (before, after) in changes.changed.items():
        yield from paragraph("changed", for_line(f"{name}: {before.summary} → {after.summary}"))


def _limits(threshold: Threshold) -> str:
    """Return a threshold in words: 50 stars, 10 contributors, 100 pull requests, priority 80."""
    figures = (
        (threshold.stars, "star"),
        (threshold.contributors, "contributor"),
        (threshold.pull_requests, "pull request"),
    )
    limits = [counted(figure, noun) for figure, noun in figures if figure is not None]
    return ", ".join([*limits, f"priority {threshold.priority}"])
