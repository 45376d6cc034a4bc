"""Making a plan: the one place that turns differences into decisions.

The inputs are the file, the last apply, the live state, and the traces of overrides in git. This
module reads no clock, file or database.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.planning.approval_rule import plan_rule
from reconciler.planning.blast_radius import BlastRadius
from reconciler.planning.changes import ScalarChange, configuration_changes
from reconciler.planning.desired import (
    desired_configuration,
    desired_thresholds,
    with_excluded_names,
)
from reconciler.planning.drift import (
    Drift,
    kept_override,
    with_adopted,
    with_adopted_lists,
)
from reconciler.planning.feature_config import Configuration
from reconciler.planning.feature_context import FeatureContext, drift_before_any_apply
from reconciler.planning.field_types import Direction
from reconciler.planning.first_apply import guard_first_apply
from reconciler.planning.freezes import FreezesPlan, Frozen, Hold, by_name, find_hold, of_feature
from reconciler.planning.guard_names import GuardName
from reconciler.planning.guards import (
    FeatureRemoved,
    Finding,
    guard_audience,
    guard_gain,
    guard_increase,
    guard_lists,
    guard_names,
)
from reconciler.planning.live_state import Directory
from reconciler.planning.marks import plan_marks, with_mark_findings
from reconciler.planning.notifications import TargetsPlan
from reconciler.planning.overrides import (
    effective,
    is_narrower,
    narrow,
    settle_overrides,
)
from reconciler.planning.plan import CategoriesPlan, FeatureAction, FeaturePlan, OverridesPlan, Plan
from reconciler.planning.plan_inputs import AppliedFeature, PlanInputs
from reconciler.planning.plan_warnings import (
    feature_warnings,
    limit_warnings,
    removal_warnings,
    rename_warnings,
)
from reconciler.planning.processors import ProcessorsPlan
from reconciler.rollout_file.list_entries import entry_key
from reconciler.rollout_file.model import Feature, Guards, Rollout, Stage
from reconciler.rollout_file.override import Override

if TYPE_CHECKING:
    from reconciler.planning.routing_shift import RoutingShift


def make_plan(rollout: Rollout, inputs: PlanInputs) -> Plan:
    """Compare the desired state with the last apply and the live state.

    Features have the file's order; then come those that are no longer in the file, which are
    deactivated.
    """
    live, directory = inputs.live, inputs.live.directory
    marks = plan_marks(rollout, inputs)
    desired = [
        _with_freeze(
            with_mark_findings(_plan_feature(name, feature, inputs), rollout, marks, live),
            find_hold(of_feature(rollout.freezes, name), live.now) if live.now else None,
        )
        for name, feature in rollout.features.items()
    ]
    gone = [_plan_removal(name, inputs) for name in live.features if name not in rollout.features]
    names = {**directory.remembered, **directory.ids, **_names_only_excluded(rollout, directory)}
    return Plan(
        generation=live.generation,
        applied_commit=live.applied_commit,
        features=(*desired, *gone),
        test_repositories=marks,
        categories=CategoriesPlan(before=live.thresholds, after=desired_thresholds(rollout)),
        notifications=TargetsPlan(before=live.targets, after=rollout.notifications),
        freezes=FreezesPlan(by_name(inputs.applied.freezes), by_name(rollout.freezes)),
        processors=ProcessorsPlan(before=live.processors, after=rollout.processors),
        approvals=plan_rule(inputs.applied.approvals, rollout.approvals),
        approved=inputs.applied.approved,
        names=names,
        has_new_names=any(
            directory.remembered.get(name) != identifier for name, identifier in names.items()
        ),
    )


def with_blast_radius(
    feature: FeaturePlan, radius: BlastRadius, guards: Guards, *, recategorises: bool = False
) -> FeaturePlan:
    """Return a feature's plan with the blast radius that the database counted, and the guards' findings.

    `recategorises` is whether the plan changes thresholds, which moves repositories also of
    unchanged features.
    """
    findings = (
        *feature.findings,
        *guard_gain(radius.gained, guards),
        *_audience_findings(feature, radius, recategorises=recategorises),
    )
    return _with_freeze(replace(feature, blast_radius=radius, findings=findings), feature.hold)


def _with_freeze(feature: FeaturePlan, hold: Hold | None) -> FeaturePlan:
    """Return a feature's plan with the freezes that hold it, and a finding if it widens."""
    others = tuple(each for each in feature.findings if each.guard is not GuardName.FREEZE)
    feature = replace(feature, hold=hold, findings=others)
    if hold is None or not feature.widens:
        return feature
    return replace(feature, findings=(*others, Frozen(hold)))


def with_routing_shift(feature: FeaturePlan, shift: "RoutingShift") -> FeaturePlan:
    """Return a feature's plan with the jobs that its rules would have moved, and the guard's finding."""
    # Imported here: most plans change no rules.
    from reconciler.planning.routing_shift import guard_shift

    findings = (*feature.findings, *guard_shift(shift.moved_jobs, shift.jobs))
    return replace(feature, routing_shift=shift, findings=findings)


def _audience_findings(
    feature: FeaturePlan, radius: BlastRadius, *, recategorises: bool
) -> Iterator[Finding]:
    before, after = feature.before, feature.after
    if before is None or before.targeting.off_rule or after.targeting.off_rule:
        return
    if recategorises or any(
        isinstance(change, ScalarChange)
        and change.field.direction(change.before, change.after) is Direction.BY_AUDIENCE
        for change in feature.changes
    ):
        yield from guard_audience(
            before,
            after,
            gained=radius.gained,
            lost=radius.lost,
            repositories=radius.repositories,
        )


def feature_drift(name: str, inputs: PlanInputs) -> tuple[Drift, ...]:
    """Return the drift of one feature, with the decision about each field."""
    return FeatureContext.of(name, inputs).drift


def stages_to_judge(rollout: Rollout, inputs: PlanInputs) -> Iterator[tuple[str, Stage]]:
    """Yield features with the stage that must soak before the percentage may increase as in the file."""
    staged = {name: feature for name, feature in rollout.features.items() if feature.progression}
    if not staged:
        return
    from reconciler.planning.stages import stage_to_hold

    for name, feature in staged.items():
        before = FeatureContext.of(name, inputs).percentage
        stage = stage_to_hold(before, feature.percentage, feature.progression)
        if stage is not None:
            yield name, stage


def _plan_feature(name: str, feature: Feature, inputs: PlanInputs) -> FeaturePlan:
    context = FeatureContext.of(name, inputs)
    directory = inputs.live.directory
    desired = with_excluded_names(
        desired_configuration(name, feature, directory), feature, context.live, directory
    )
    drift = (
        drift_before_any_apply(context, desired, feature.override)
        if context.applied is None
        else with_adopted(context.drift, desired, directory)
    )
    overrides = _plan_overrides(context, feature.override, drift)
    base = context.without(drift)
    after = effective(desired, overrides.in_force, context.live)
    changes = configuration_changes(base, after, directory)
    entries = (*feature.whitelist, *feature.exclusions)
    return FeaturePlan(
        name=name,
        action=_action(context.live, is_touched=bool(changes or drift or overrides.moved)),
        before=context.live,
        desired=desired,
        after=after,
        changes=changes,
        unresolved=directory.unresolved(entries, desired.whitelist | desired.exclusions),
        overrides=overrides,
        is_newly_desired=is_newly_desired(desired, context.applied),
        drift=drift,
        findings=(
            *_findings(context, desired, feature, overrides, drift),
            *guard_first_apply(context, changes, after),
        ),
        warnings=(
            *feature_warnings(base, after),
            *limit_warnings(desired, overrides.in_force),
            *rename_warnings(entries, directory),
        ),
    )


def is_newly_desired(desired: Configuration, applied: AppliedFeature | None) -> bool:
    """Return whether the last apply has another desired state.

    The live values may be the same: an override may hide the difference, or the feature was so
    before any apply.
    """
    return applied is None or applied.desired != desired


def _plan_removal(name: str, inputs: PlanInputs) -> FeaturePlan:
    context = FeatureContext.of(name, inputs)
    drift = context.drift
    overrides = _plan_overrides(context, None, drift)
    base = context.without(drift)
    assert base is not None  # noqa: S101 - only a live feature is removed
    desired = base.deactivated()
    after = effective(desired, overrides.in_force, context.live)
    changes = configuration_changes(base, after, inputs.live.directory)
    return FeaturePlan(
        name=name,
        action=FeatureAction.DEACTIVATE
        if base.active
        else _action(base, is_touched=bool(changes or drift or overrides.resumed)),
        before=context.live,
        desired=desired,
        after=after,
        changes=changes,
        unresolved=(),
        overrides=overrides,
        is_newly_desired=False,
        drift=drift,
        findings=(FeatureRemoved(),) if base.active else (),
        warnings=removal_warnings(overrides.in_force) if base.active else (),
    )


def _plan_overrides(
    context: FeatureContext, in_file: Override | None, drift: tuple[Drift, ...]
) -> OverridesPlan:
    stored = () if context.found is None else context.found.overrides
    file_id = None if in_file is None else in_file.id
    ids = {row.id for row in stored} | ({file_id} if file_id is not None else set())
    known = {each: context.inputs.trace(context.name, each, file_id) for each in ids}
    traces = {each: trace for each, trace in known.items() if trace is not None}
    kept = kept_override(
        context.found, drift, context.inputs.live.generation, context.used_ids(file_id)
    )
    settled = settle_overrides(in_file, stored, traces, kept)
    is_in_file = settled.in_force is not None and settled.in_force.id == file_id
    return OverridesPlan(
        settled.in_force,
        kept,
        settled.written,
        settled.resumed,
        is_in_file=is_in_file,
        edited=settled.edited,
    )


def _findings(
    context: FeatureContext,
    desired: Configuration,
    feature: Feature,
    overrides: OverridesPlan,
    drift: tuple[Drift, ...],
) -> Iterator[Finding]:
    directory = context.inputs.live.directory
    before = context.desired
    yield from guard_increase(*_guarded_increase(context, desired, overrides), feature.guards)
    if before is not None:
        yield from guard_lists(
            with_adopted_lists(before, drift), desired, feature.guards, directory
        )
    # An exclusion keeps its repository, so a name that is used again only narrows.
    yield from guard_names(feature.whitelist, directory)
    if feature.progression:
        yield from _guard_stages(context, feature, overrides)


def _guard_stages(
    context: FeatureContext, feature: Feature, overrides: OverridesPlan
) -> Iterator[Finding]:
    # Imported here: most plans have no stages.
    from reconciler.planning.stages import guard_soak, guard_start

    yield from guard_soak(
        context.percentage,
        feature.percentage,
        feature.progression,
        context.inputs.soaking.get(context.name),
        is_limited=overrides.in_force is not None or bool(overrides.resumed),
    )
    yield from guard_start(
        context.percentage,
        feature.percentage,
        feature.progression,
        context.inputs.live.now,
    )


def _guarded_increase(
    context: FeatureContext, desired: Configuration, overrides: OverridesPlan
) -> tuple[Configuration | None, Configuration]:
    """Return the increase that guards check: of the desired percentage, or of a limit that people widened."""
    before, limit, in_force = context.desired, context.limit, overrides.in_force
    if before is None or limit is None or in_force is None or not is_narrower(limit, in_force):
        return before, desired
    limited = replace(narrow(before, limit), emergency_stop=False), narrow(desired, in_force)
    is_larger = (
        limited[1].percentage - limited[0].percentage > desired.percentage - before.percentage
    )
    return limited if is_larger else (before, desired)


def _names_only_excluded(rollout: Rollout, directory: Directory) -> dict[str, str]:
    """Return the ids of reused names that are only in exclusions: they keep their ids."""
    features = rollout.features.values()
    excluded = {entry_key(each) for feature in features for each in feature.exclusions}
    if not excluded or not directory.remembered:
        return {}
    widening = {entry_key(each) for feature in features for each in feature.whitelist}
    widening.update(map(entry_key, rollout.test_repositories))
    return {
        name: directory.remembered[name]
        for name in excluded - widening
        if directory.is_reused(name)
    }


def _action(before: Configuration | None, *, is_touched: bool) -> FeatureAction:
    if before is None:
        return FeatureAction.CREATE
    return FeatureAction.UPDATE if is_touched else FeatureAction.NONE
