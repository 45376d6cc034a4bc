"""What the database counts for a plan: the audiences that move, and the jobs that rules of routing move."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.database.blast_radius import (
    NO_AUDIENCE,
    AudienceMove,
    measure_blast_radii,
)
from reconciler.planning.drift import AudienceChange
from reconciler.planning.feature_context import drift_to_judge
from reconciler.planning.plan import FeatureAction, FeaturePlan, Plan
from reconciler.planning.plan_inputs import PlanInputs
from reconciler.planning.planner import with_blast_radius, with_routing_shift
from reconciler.rollout_file.model import Guards

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection
    from reconciler.rollout_file.model import Rollout


def judge_drift(
    connection: "AnyConnection", inputs: PlanInputs
) -> Mapping[str, Mapping[str, AudienceChange]]:
    """Count the effect of drift whose direction only the audience shows."""
    drift = tuple(drift_to_judge(inputs))
    moves = [
        AudienceMove(
            name, live.targeting, replace(live, **{field.name: field.read(expected)}).targeting
        )
        for name, field, expected, live in drift
    ]
    judged: defaultdict[str, dict[str, AudienceChange]] = defaultdict(dict)
    radii = measure_blast_radii(connection, moves)
    for (name, field, _, _), radius in zip(drift, radii, strict=True):
        # Undoing the drift gains the repositories that it lost.
        judged[name][field.name] = AudienceChange(gained=radius.lost, lost=radius.gained)
    return judged


def measure(connection: "AnyConnection", plan: Plan, rollout: "Rollout", *, counts: bool) -> Plan:
    """Return a plan with the blast radius of each feature whose audience can move.

    With `counts`, each radius has the count of the eligible repositories, which takes longer.
    """
    marks, categories = plan.test_repositories, plan.categories
    # Marks and thresholds can change the audience of a feature that does not change itself.
    audience_moves = bool(len(marks) or categories.changed)
    measured = [
        feature
        for feature in plan.features
        if audience_moves or feature.action is not FeatureAction.NONE
    ]
    radii = measure_blast_radii(
        connection,
        [
            AudienceMove(
                feature.name,
                NO_AUDIENCE if feature.before is None else feature.before.targeting,
                feature.after.targeting,
            )
            for feature in measured
        ],
        marked=tuple(marks.added),
        unmarked=tuple(marks.removed),
        thresholds=categories.after if categories.changed else None,
        counts=counts,
    )
    by_name = {feature.name: radius for feature, radius in zip(measured, radii, strict=True)}
    return replace(
        plan,
        features=tuple(
            with_blast_radius(
                _with_shift(connection, feature, rollout),
                by_name[feature.name],
                _guards(rollout, feature.name),
                recategorises=bool(categories.changed),
            )
            if feature.name in by_name
            else feature
            for feature in plan.features
        ),
    )


def _with_shift(
    connection: "AnyConnection", feature: FeaturePlan, rollout: "Rollout"
) -> FeaturePlan:
    """Return a feature's plan with the jobs that changed rules of routing would have moved."""
    if feature.before is None or feature.before.routing == feature.after.routing:
        return feature
    # Imported here: most plans change no rules.
    from reconciler.database.cost import measure_shift

    costs = {name: each.cost for name, each in rollout.processors.items()}
    shift = measure_shift(connection, feature.name, feature.before, feature.after, costs)
    return with_routing_shift(feature, shift)


def _guards(rollout: "Rollout", name: str) -> Guards:
    desired = rollout.features.get(name)
    return Guards() if desired is None else desired.guards
