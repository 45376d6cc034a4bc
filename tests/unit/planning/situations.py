"""Inputs of a plan, short to write: a file, the last apply, and the live state."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from reconciler.planning.desired import desired_configuration
from reconciler.planning.drift import AudienceChange
from reconciler.planning.feature_config import Configuration
from reconciler.planning.live_state import Directory, Live, LiveFeature
from reconciler.planning.overrides import StoredOverride, Trace
from reconciler.planning.plan import FeaturePlan
from reconciler.planning.plan_inputs import NOTHING_APPLIED, AppliedFeature, LastApplied, PlanInputs
from reconciler.planning.planner import make_plan
from reconciler.rollout_file.model import Feature, Rollout
from rollout_client.targeting.categories import DEFAULT_THRESHOLDS
from tests.builders import MOMENT

FEATURE: Final = "capture"
NOBODY_KNOWN: Final = Directory(ids={}, names={}, owned={})


def feature(**fields: Any) -> Feature:
    return Feature.model_validate(fields)


def configuration(of: Feature | None = None, **changes: Any) -> Configuration:
    """Return the live state of a feature of the file, with changes by hand."""
    return replace(desired_configuration(FEATURE, of or Feature(), NOBODY_KNOWN), **changes)


def inputs_of(
    applied: Feature | Configuration | None = None,
    *,
    live: Configuration | None = None,
    overrides: tuple[StoredOverride, ...] = (),
    traces: Mapping[UUID, Trace] | None = None,
    audience: Mapping[str, AudienceChange] | None = None,
    directory: Directory = NOBODY_KNOWN,
) -> PlanInputs:
    """Return the inputs of a plan of one feature; by default live is as it was applied."""
    desired = (
        desired_configuration(FEATURE, applied, directory)
        if isinstance(applied, Feature)
        else applied
    )
    found = live or desired
    block = applied.override if isinstance(applied, Feature) else None
    return PlanInputs(
        live=Live(
            generation=7,
            applied_commit=None,
            features={}
            if found is None
            else {FEATURE: LiveFeature(UUID(int=99), found, MOMENT, overrides)},
            marked=frozenset(),
            thresholds=DEFAULT_THRESHOLDS,
            directory=directory,
        ),
        applied=NOTHING_APPLIED
        if desired is None
        else LastApplied({FEATURE: AppliedFeature(desired, None if block is None else block.id)}),
        traces=traces or {},
        audience={FEATURE: audience or {}},
    )


def plan_feature(
    desired: Feature | None,
    *,
    applied: Feature | Configuration | None = None,
    live: Configuration | None = None,
    overrides: tuple[StoredOverride, ...] = (),
    traces: Mapping[UUID, Trace] | None = None,
    audience: Mapping[str, AudienceChange] | None = None,
    directory: Directory = NOBODY_KNOWN,
) -> FeaturePlan:
    """Return the plan for one feature; by default live is as it was applied."""
    inputs = inputs_of(
        applied,
        live=live,
        overrides=overrides,
        traces=traces,
        audience=audience,
        directory=directory,
    )
    (plan,) = make_plan(
        Rollout(version=1, features={} if desired is None else {FEATURE: desired}), inputs
    ).features
    return plan
