"""A plan as JSON: its keys, its digest, and the differences between two plans."""

import json
from dataclasses import replace
from decimal import Decimal
from typing import Final

import pytest
from jsonschema import Draft202012Validator

from reconciler.planning.blast_radius import BlastRadius, Moved
from reconciler.planning.expectation import expect, what_moved
from reconciler.planning.guard_names import GuardName
from reconciler.planning.plan import Plan
from reconciler.planning.plan_inputs import PlanInputs, Source
from reconciler.planning.planner import make_plan
from reconciler.planning.report import PlanReport, make_report, plan_schema
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
    repositories=42,
    before=4,
    after=10,
    gained=6,
    lost=0,
    by_category={Category.SMALL: Moved(gained=6, lost=0)},
    by_owner={"acme": Moved(gained=6, lost=0)},
    sample_gained=("acme/one",),
    sample_lost=(),
)


def planned(desired: Feature, inputs: PlanInputs | None = None) -> Plan:
    inputs = inputs or inputs_of(feature(percentage=10))
    return make_plan(Rollout(version=1, features={FEATURE: desired}), inputs)


def reported(desired: Feature, inputs: PlanInputs | None = None) -> PlanReport:
    return make_report(planned(desired, inputs), SOURCE, applied=False)


def test_a_change_is_reported_with_both_values() -> None:
    report = reported(feature(percentage=Decimal("12.5"), whitelist=["acme/tools"]))

    (found,) = report.features
    assert [each.model_dump() for each in found.changes] == [
        {"field": "percentage", "before": 10, "after": 12.5},
        {"field": "whitelist", "added": ["acme/tools"], "removed": [], "resolved": []},
    ]
    assert (report.has_changes, report.refused, report.commit) == (True, False, "b" * 40)


def test_a_refusing_guard_is_reported_and_marked_when_allowed() -> None:
    plan = planned(feature(percentage=90))

    (refused,) = make_report(plan, SOURCE, applied=False).features[0].guards
    assert (refused.name, refused.allowed) == ("max-increase", False)
    assert make_report(plan, SOURCE, applied=False).refused


def test_a_blast_radius_is_reported_as_the_database_counted_it() -> None:
    plan = planned(feature(percentage=25))
    counted = replace(
        plan, features=tuple(replace(each, blast_radius=RADIUS) for each in plan.features)
    )

    radius = make_report(counted, SOURCE, applied=False).features[0].blast_radius

    assert radius is not None
    assert (radius.gained, radius.lost, radius.sample_gained) == (6, 0, ["acme/one"])
    assert radius.by_category["small"].gained == 6


def test_an_applied_report_has_the_new_generation() -> None:
    plan = planned(feature(percentage=25))

    assert make_report(plan, SOURCE, applied=False).generation == 7
    assert make_report(plan, SOURCE, applied=True).generation == 8


def test_a_report_is_valid_by_its_schema() -> None:
    report = reported(feature(percentage=25, whitelist=["acme/*"], health={"window": "2h"}))

    Draft202012Validator(plan_schema()).validate(json.loads(report.model_dump_json()))


def test_the_digest_is_of_what_would_be_done_alone() -> None:
    one = reported(feature(percentage=25))
    elsewhere = make_report(
        replace(planned(feature(percentage=25)), generation=99),
        replace(SOURCE, commit="c" * 40, file="other.yaml"),
        applied=False,
    )

    assert one.plan_digest == elsewhere.plan_digest
    assert one.plan_digest != reported(feature(percentage=26)).plan_digest


def test_the_findings_of_guards_are_not_in_the_digest() -> None:
    lenient = feature(percentage=90, guards={"max_increase": 100})

    strict = planned(feature(percentage=90))
    assert [finding.guard for _, finding in strict.refusing] == [GuardName.MAX_INCREASE]
    assert reported(lenient).plan_digest == reported(feature(percentage=90)).plan_digest


@pytest.mark.parametrize(
    ("digest", "generation", "percentage", "moved"),
    [
        (SOURCE.digest, 7, 25, ()),
        (f"sha256:{'d' * 64}", 7, 25, ("the file changed",)),
        (SOURCE.digest, 8, 25, ("generation 7 is 8 now",)),
        (SOURCE.digest, 7, 20, ("the live state changed, or the repositories did",)),
    ],
    ids=["nothing", "the file", "the generation", "the live state"],
)
def test_what_moved_since_a_plan_was_shown_is_named(
    digest: str, generation: int, percentage: int, moved: tuple[str, ...]
) -> None:
    shown = expect(reported(feature(percentage=25)))
    plan = replace(planned(feature(percentage=Decimal(percentage))), generation=generation)

    now = make_report(plan, replace(SOURCE, digest=digest), applied=False)
    assert what_moved(shown, now) == moved
