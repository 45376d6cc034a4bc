"""Making a plan: the one place where a difference becomes a decision.

Three inputs, the file, the last apply and the live state, and what git tells of overrides. Nothing here
reads a clock, a file or a database.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from decimal import Decimal
from uuid import uuid5

from reconciler.planning.desired import (
    desired_configuration,
    desired_marks,
    desired_thresholds,
)
from reconciler.planning.drift import (
    Decision,
    Drift,
    fields_judged_by_audience,
    find_drift,
    kept_limit,
    with_adopted,
    without_drift,
)
from reconciler.planning.feature_config import Configuration, ScalarField
from reconciler.planning.guards import (
    FeatureRemoved,
    Finding,
    NameReused,
    guard_gain,
    guard_increase,
    guard_lists,
)
from reconciler.planning.live_state import Directory, LiveFeature
from reconciler.planning.overrides import (
    OverrideState,
    effective,
    settle_overrides,
)
from reconciler.planning.plan import (
    BlastRadius,
    CategoriesPlan,
    FeatureAction,
    FeaturePlan,
    MarksPlan,
    OverridesPlan,
    Plan,
    configuration_changes,
    named,
)
from reconciler.planning.plan_inputs import AppliedFeature, PlanInputs
from reconciler.planning.promotion import guard_soak, stage_to_hold
from reconciler.rollout_file.list_entries import entry_key
from reconciler.rollout_file.model import Feature, Guards, Override, Rollout, Stage
from reconciler.targeting.steps import step_in_force
from reconciler.targeting.strategy import Strategy
from reconciler.wording import show_number


def make_plan(rollout: Rollout, inputs: PlanInputs) -> Plan:
    """Compare the desired state with the last apply and the live state.

    Features come in the file's order, then those that the file no longer has, which are deactivated.
    """
    live, directory = inputs.live, inputs.live.directory
    desired = [_plan_feature(name, feature, inputs) for name, feature in rollout.features.items()]
    gone = [
        _plan_removal(name, found, inputs)
        for name, found in live.features.items()
        if name not in rollout.features
    ]
    return Plan(
        generation=live.generation,
        applied_commit=live.applied_commit,
        features=(*desired, *gone),
        test_repositories=_plan_marks(rollout, inputs),
        categories=CategoriesPlan(before=live.thresholds, after=desired_thresholds(rollout)),
        names={**directory.remembered, **directory.ids},
        has_new_names=any(
            directory.remembered.get(name) != identifier
            for name, identifier in directory.ids.items()
        ),
    )


def with_blast_radius(feature: FeaturePlan, radius: BlastRadius, guards: Guards) -> FeaturePlan:
    """Return a feature's plan with what the database counted, and the guard that looks at it."""
    findings = (*feature.findings, *guard_gain(radius.gained, guards))
    return replace(feature, blast_radius=radius, findings=findings)


def feature_drift(name: str, inputs: PlanInputs) -> tuple[Drift, ...]:
    """Return the drift of one feature, with what an apply does about each field."""
    return _drift(name, inputs.live.features.get(name), inputs.applied.features.get(name), inputs)


def drift_to_judge(
    inputs: PlanInputs,
) -> Iterator[tuple[str, ScalarField, Configuration, Configuration]]:
    """Yield the drift whose direction only the audience tells: feature, field, expected, live."""
    for name, found in inputs.live.features.items():
        applied = inputs.applied.features.get(name)
        if applied is not None:
            expected = _expected(applied, found)
            for field in fields_judged_by_audience(expected, found.configuration):
                yield name, field, expected, found.configuration


def stages_to_judge(rollout: Rollout, inputs: PlanInputs) -> Iterator[tuple[str, Stage]]:
    """Yield the stages that have to have held before a percentage rises as the file asks: by feature."""
    for name, feature in rollout.features.items():
        before = _percentage_before(name, inputs)
        stage = stage_to_hold(before, feature.percentage, feature.progression)
        if stage is not None:
            yield name, stage


def _plan_feature(name: str, feature: Feature, inputs: PlanInputs) -> FeaturePlan:
    directory = inputs.live.directory
    found = inputs.live.features.get(name)
    applied = inputs.applied.features.get(name)
    desired = desired_configuration(name, feature, directory)
    drift = with_adopted(_drift(name, found, applied, inputs), desired, directory)
    if found is not None and applied is None:
        drift = _stop_before_any_apply(found, feature.override)
    overrides = _plan_overrides(name, feature.override, found, drift, inputs)
    before = None if found is None else found.configuration
    base = _without_drift(before, drift, applied, found)
    after = effective(desired, overrides.in_force, before)
    changes = configuration_changes(base, after, directory)
    guarded = base if applied is None else applied.desired
    return FeaturePlan(
        name=name,
        action=_action(before, is_touched=bool(changes or drift or overrides.resumed)),
        before=before,
        desired=desired,
        after=after,
        changes=changes,
        unresolved=unresolved((*feature.whitelist, *feature.exclusions), directory),
        overrides=overrides,
        is_meant_anew=_is_meant_anew(desired, applied),
        drift=drift,
        findings=(
            *_findings(guarded, desired, feature, directory),
            *guard_soak(
                _percentage_before(name, inputs),
                feature.percentage,
                feature.progression,
                inputs.soaking.get(name),
                is_limited=overrides.in_force is not None or bool(overrides.resumed),
            ),
        ),
        warnings=(
            *feature_warnings(base, after),
            *rename_warnings((*feature.whitelist, *feature.exclusions), directory),
        ),
    )


def _plan_removal(name: str, found: LiveFeature, inputs: PlanInputs) -> FeaturePlan:
    applied = inputs.applied.features.get(name)
    drift = _drift(name, found, applied, inputs)
    overrides = _plan_overrides(name, None, found, drift, inputs)
    base = _without_drift(found.configuration, drift, applied, found) or found.configuration
    desired = base.deactivated()
    after = effective(desired, overrides.in_force, found.configuration)
    changes = configuration_changes(base, after, inputs.live.directory)
    return FeaturePlan(
        name=name,
        action=FeatureAction.DEACTIVATE
        if base.active
        else _action(base, is_touched=bool(changes or drift or overrides.resumed)),
        before=found.configuration,
        desired=desired,
        after=after,
        changes=changes,
        unresolved=(),
        overrides=overrides,
        is_meant_anew=False,
        drift=drift,
        findings=(FeatureRemoved(),) if base.active else (),
        warnings=(),
    )


def _percentage_before(name: str, inputs: PlanInputs) -> Decimal | None:
    """Return the percentage that people meant until now; None for a feature that is not live yet."""
    found = inputs.live.features.get(name)
    applied = inputs.applied.features.get(name)
    if found is None:
        return None
    return (found.configuration if applied is None else applied.desired).percentage


def _expected(applied: AppliedFeature, found: LiveFeature) -> Configuration:
    """Return what should be live: the last apply's intent under the override in force since."""
    on = [row.override for row in found.overrides if row.state is OverrideState.ON]
    return effective(applied.desired, on[0] if on else None, found.configuration)


def _drift(
    name: str, found: LiveFeature | None, applied: AppliedFeature | None, inputs: PlanInputs
) -> tuple[Drift, ...]:
    if found is None or applied is None:
        return ()
    expected = _expected(applied, found)
    return find_drift(expected, found.configuration, inputs.audience.get(name, {}))


def _stop_before_any_apply(found: LiveFeature, in_file: Override | None) -> tuple[Drift, ...]:
    """Return a stop that somebody set by hand on a feature that no apply has met, as drift.

    Nothing else of such a feature can have drifted; but a stop survives the next apply, also the first.
    """
    live = found.configuration
    limits = [row.override for row in found.overrides if row.state is OverrideState.ON]
    limits += [] if in_file is None else [in_file]
    if any(limit.percentage is None for limit in limits):
        return ()
    return find_drift(replace(live, emergency_stop=False), live, {})


def _without_drift(
    before: Configuration | None,
    drift: tuple[Drift, ...],
    applied: AppliedFeature | None,
    found: LiveFeature | None,
) -> Configuration | None:
    if before is None or applied is None or found is None:
        return before
    return without_drift(before, drift, _expected(applied, found))


def _plan_overrides(
    name: str,
    in_file: Override | None,
    found: LiveFeature | None,
    drift: tuple[Drift, ...],
    inputs: PlanInputs,
) -> OverridesPlan:
    stored = () if found is None else found.overrides
    file_id = None if in_file is None else in_file.id
    ids = {row.id for row in stored} | ({file_id} if file_id is not None else set())
    told = {each: inputs.trace(name, each, file_id) for each in ids}
    traces = {each: trace for each, trace in told.items() if trace is not None}
    kept = _kept_override(found, drift, inputs.live.generation)
    settled = settle_overrides(in_file, stored, traces, kept)
    return OverridesPlan(settled.in_force, kept, settled.written, settled.resumed)


def _is_meant_anew(desired: Configuration, applied: AppliedFeature | None) -> bool:
    # Nothing live need show it: an override may hide it, or the feature was so before any apply.
    return applied is None or applied.desired != desired


def _kept_override(
    found: LiveFeature | None, drift: tuple[Drift, ...], generation: int
) -> Override | None:
    limit = kept_limit(drift)
    if found is None or limit is None:
        return None
    changes = ", ".join(
        f"{each.field.column} {each.field.show(each.last_applied)} → {each.field.show(each.live)}"
        for each in drift
        if isinstance(each.field, ScalarField) and each.decision is Decision.KEEP
    )
    return Override(
        # The same for a preview and its apply, and another for every database.
        id=uuid5(found.id, f"drift kept at generation {generation}"),
        percentage=limit.percentage,
        emergency_stop=True if limit.percentage is None else None,
        reason=f"changed in the database: {changes}",
        by="database",
        at=found.updated_at,
    )


def _findings(
    before: Configuration | None, desired: Configuration, feature: Feature, directory: Directory
) -> Iterator[Finding]:
    yield from guard_increase(before, desired, feature.guards)
    if before is not None:
        yield from guard_lists(before, desired, feature.guards, directory)
    for entry in (*feature.whitelist, *feature.exclusions):
        if directory.is_reused(entry):
            key = entry_key(entry)
            yield NameReused(entry, directory.remembered[key], directory.ids[key])


def _action(before: Configuration | None, *, is_touched: bool) -> FeatureAction:
    if before is None:
        return FeatureAction.CREATE
    return FeatureAction.UPDATE if is_touched else FeatureAction.NONE


def _plan_marks(rollout: Rollout, inputs: PlanInputs) -> MarksPlan:
    live, directory = inputs.live, inputs.live.directory
    marks = desired_marks(rollout, directory)
    return MarksPlan(
        marked=marks,
        added=named(marks - live.marked, directory),
        removed=named(live.marked - marks, directory),
        unresolved=unresolved(rollout.test_repositories, directory),
    )


def unresolved(entries: tuple[str, ...], directory: Directory) -> tuple[str, ...]:
    """Return the entries that mean nothing to the database yet, by name."""
    keyed = ((entry, directory.key(entry)) for entry in entries)
    return tuple(sorted(entry for entry, key in keyed if not directory.is_resolved(key)))


def feature_warnings(before: Configuration | None, after: Configuration) -> tuple[str, ...]:
    """Return what is worth a second look in one feature's change."""
    return tuple(_warnings(before, after))


def _warnings(before: Configuration | None, after: Configuration) -> Iterator[str]:
    if after.strategy is Strategy.REPOSITORY_SIZE:
        step = Decimal(step_in_force(after.percentage))
        if step != after.percentage:
            yield (
                f"{show_number(after.percentage)} is between the steps of repository_size: "
                f"{show_number(step)} is in force"
            )
    if after.strategy is Strategy.WHITELIST and after.percentage > 0:
        yield "percentage means nothing under the strategy whitelist"
    if before is not None and before.salt != after.salt:
        yield "another salt draws other repositories at the same percentage"
    if before is not None and before.bucketing is not after.bucketing:
        yield "another bucketing draws other repositories at the same percentage"


def rename_warnings(entries: Iterable[str], directory: Directory) -> tuple[str, ...]:
    """Return which entries keep an old name of a repository, with its new one."""
    return tuple(
        f"{entry} is called {directory.name(directory.key(entry))} now; "
        "the entry stays with that repository, write its new name"
        for entry in entries
        if directory.is_renamed(entry)
    )
