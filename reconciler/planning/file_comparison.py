"""The changes between two files without a database: a plan without a blast radius.

The planner itself makes it, as if the base file were applied to a database in which every name is
known and that holds nothing else. Drift, soak and the blast radius need a database and are left
out.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from reconciler.planning.desired import (
    desired_configuration,
    desired_marks,
    desired_thresholds,
)
from reconciler.planning.guard_names import GuardName
from reconciler.planning.live_state import Directory, Live, LiveFeature
from reconciler.planning.overrides import OverrideState, StoredOverride, effective
from reconciler.planning.plan import Plan
from reconciler.planning.plan_inputs import AppliedFeature, LastApplied, PlanInputs
from reconciler.planning.planner import make_plan
from reconciler.rollout_file.list_entries import entry_key
from reconciler.rollout_file.model import Feature, Rollout

_NOWHERE: Final = UUID(int=0)
_NEVER: Final = datetime.min.replace(tzinfo=UTC)


def plan_difference(base: Rollout, head: Rollout) -> Plan:
    """Return the changes from `base` to `head`, with the guards that need no database."""
    directory = _directory(base, head)
    live = Live(
        generation=0,
        applied_commit=None,
        features={
            name: _as_live(name, feature, directory) for name, feature in base.features.items()
        },
        marked=desired_marks(base, directory),
        thresholds=desired_thresholds(base),
        directory=directory,
        targets=base.notifications,
    )
    applied = LastApplied(
        {
            name: AppliedFeature(
                desired_configuration(name, feature, directory),
                None if feature.override is None else feature.override.id,
            )
            for name, feature in base.features.items()
        },
        freezes=base.freezes,
        approvals=base.approvals,
    )
    plan = make_plan(head, PlanInputs(live, applied))
    features = tuple(
        replace(
            each,
            findings=tuple(found for found in each.findings if found.guard != GuardName.SOAK),
        )
        for each in plan.features
    )
    return replace(plan, features=features)


def _as_live(name: str, feature: Feature, directory: Directory) -> LiveFeature:
    override = feature.override
    return LiveFeature(
        id=_NOWHERE,
        configuration=effective(desired_configuration(name, feature, directory), override, None),
        updated_at=_NEVER,
        overrides=() if override is None else (StoredOverride(override, OverrideState.ON),),
    )


def _directory(*rollouts: Rollout) -> Directory:
    """Return a directory in which every name of these files is a repository with its name as id."""
    keys = {
        entry_key(entry): entry
        for rollout in rollouts
        for entry in _entries(rollout)
        if "*" not in entry
    }
    return Directory(ids={key: key for key in keys}, names=keys, owned={})


def _entries(rollout: Rollout) -> Iterable[str]:
    yield from rollout.test_repositories
    for feature in rollout.features.values():
        yield from feature.whitelist
        yield from feature.exclusions
