"""Plans to render: made from a file and a live state, counted as a database would."""

from dataclasses import replace
from typing import Final

from reconciler.planning.blast_radius import BlastRadius, Moved
from reconciler.planning.plan import Plan
from reconciler.planning.plan_inputs import PlanInputs, Source
from reconciler.planning.planner import make_plan
from reconciler.rollout_file.model import Feature, Rollout
from rollout_client.targeting.categories import Category
from tests.unit.planning.situations import FEATURE, feature, inputs_of

SOURCE: Final = Source(
    file="rollout.yaml",
    digest=f"sha256:{'a' * 64}",
    commit="b" * 40,
    uncommitted=False,
    subject="Widen",
)
RADIUS: Final = BlastRadius(
    repositories=1_204,
    before=120,
    after=240,
    gained=121,
    lost=1,
    by_category={
        Category.SMALL: Moved(gained=100, lost=1),
        Category.LARGE: Moved(gained=21, lost=0),
    },
    by_owner={"acme": Moved(gained=121, lost=1)},
    sample_gained=("acme/tools", "acme/web"),
    sample_lost=("acme/old",),
)


def planned(
    desired: Feature, inputs: PlanInputs | None = None, *, radius: BlastRadius | None = RADIUS
) -> Plan:
    """Return the plan for one feature; by default 10 percent are live."""
    inputs = inputs or inputs_of(feature(percentage=10))
    plan = make_plan(Rollout(version=1, features={FEATURE: desired}), inputs)
    return replace(
        plan, features=tuple(replace(each, blast_radius=radius) for each in plan.features)
    )
