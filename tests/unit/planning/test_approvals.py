"""Approvals: what needs them, by which rule, and who counts."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.planning.approval_evidence import (
    Needed,
    NoEvidence,
    Owners,
    PullRequest,
    Review,
    ReviewedSteps,
    ReviewState,
    Step,
)
from reconciler.planning.approval_subjects import Files, FilesChange, OfFeature
from reconciler.planning.approvals import (
    find_needs,
    is_wider_in_git,
    with_approvals,
    without_approvals,
)
from reconciler.planning.blast_radius import BlastRadius
from reconciler.planning.code_owners import owners_of
from reconciler.planning.guard_names import Allowed, GuardName
from reconciler.planning.overrides import OverrideState, StoredOverride
from reconciler.planning.plan import Plan
from reconciler.planning.planner import make_plan
from reconciler.rollout_file.approvals import Approvals
from reconciler.rollout_file.model import Feature, Rollout
from tests.builders import override
from tests.unit.planning.situations import FEATURE, feature, inputs_of

RULE = Approvals(widening=1)
STRICT = Approvals(widening=1, over=Decimal(50), code_owners=True)
TEN = feature(percentage=10)
STOP = override(1)


def rollout(desired: Feature | None, rule: Approvals | None = RULE, **keys: Any) -> Rollout:
    features = {} if desired is None else {FEATURE: desired}
    return Rollout(version=1, features=features, approvals=rule, **keys)


def needs_of(
    desired: Feature | None,
    applied: Feature | None = TEN,
    *,
    rule: Approvals = RULE,
    new_rule: Approvals | None = RULE,
    radius: BlastRadius | None = None,
    stored: tuple[StoredOverride, ...] = (),
    keys: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Needed], bool]:
    """Return the features that need approvals, and whether the rule does."""
    inputs = inputs_of(applied, overrides=stored)
    inputs = replace(inputs, applied=replace(inputs.applied, approvals=rule))
    file = rollout(desired, new_rule, **(keys or {}))
    plan = make_plan(file, inputs)
    plan = replace(plan, features=tuple(replace(f, blast_radius=radius) for f in plan.features))
    found = find_needs(plan, file, inputs, ())
    return dict(found.features), found.rule is not None


def gained(number: int, after: int = 10) -> BlastRadius:
    return BlastRadius(100, 10, after, number, 0, {}, {}, (), ())


@pytest.mark.parametrize(
    ("desired", "applied"),
    [
        (feature(percentage=20), TEN),
        (feature(percentage=10, whitelist=["a/b"]), TEN),
        (TEN, feature(percentage=10, exclusions=["a/b"])),
        (TEN, feature(percentage=10, active=False)),
        (feature(percentage=10, salt="other"), TEN),
        (TEN, None),
    ],
)
def test_what_may_let_repositories_in_needs_approvals(
    desired: Feature, applied: Feature | None
) -> None:
    assert needs_of(desired, applied) == ({FEATURE: Needed(1, owner=False)}, False)


@pytest.mark.parametrize(
    ("desired", "applied"),
    [
        (feature(percentage=5), TEN),
        (TEN, feature(percentage=10, whitelist=["a/b"])),
        (feature(percentage=10, exclusions=["a/b"]), TEN),
        (feature(percentage=90, active=False), TEN),
        (feature(percentage=10, description="a new text"), TEN),
        (feature(percentage=10, health={"min_jobs": 3}), TEN),
        (feature(percentage=10, override=STOP.model_dump()), TEN),
        (None, TEN),
    ],
)
def test_a_narrower_audience_needs_no_approval(desired: Feature | None, applied: Feature) -> None:
    assert needs_of(desired, applied) == ({}, False)


def test_another_salt_needs_approvals_only_if_repositories_gain() -> None:
    salted = feature(percentage=10, salt="other")

    assert needs_of(salted, radius=gained(0)) == ({}, False)
    assert needs_of(salted, radius=gained(3))[0].keys() == {FEATURE}


@pytest.mark.parametrize(
    "change", [{"percentage": 90}, {"percentage": 10, "salt": "other"}], ids=["raise", "salt"]
)
def test_a_change_under_a_stop_needs_approvals_before_the_resume(change: dict[str, Any]) -> None:
    stopped = feature(**change, override=STOP.model_dump())
    stored = (StoredOverride(STOP, OverrideState.ON),)

    found, _ = needs_of(
        stopped,
        feature(percentage=10, override=STOP.model_dump()),
        stored=stored,
        radius=gained(0),
    )

    assert found.keys() == {FEATURE}


@pytest.mark.parametrize(
    ("percentage", "after", "owner"), [(50, 50, False), (51, 10, True), (20, 60, True)]
)
def test_a_code_owner_is_needed_above_the_percentage(
    percentage: int, after: int, owner: bool
) -> None:
    found, _ = needs_of(
        feature(percentage=percentage), rule=STRICT, new_rule=STRICT, radius=gained(9, after)
    )

    assert found == {FEATURE: Needed(1, owner=owner)}


@pytest.mark.parametrize(
    ("before", "after", "is_looser"),
    [
        (RULE, None, True),
        (Approvals(widening=2), RULE, True),
        (STRICT, Approvals(widening=3), True),
        (STRICT, Approvals(widening=1, over=Decimal(60), code_owners=True), True),
        (Approvals(widening=1, code_owners=True), STRICT, True),
        (STRICT, Approvals(widening=1, code_owners=True), False),
        (RULE, Approvals(widening=2), False),
        (RULE, STRICT, False),
        (STRICT, STRICT, False),
    ],
)
def test_a_looser_rule_needs_the_approvals_of_the_old_one(
    before: Approvals, after: Approvals | None, is_looser: bool
) -> None:
    assert needs_of(TEN, rule=before, new_rule=after)[1] is is_looser


def test_the_rule_of_the_last_apply_counts_and_not_that_of_the_change() -> None:
    found, _ = needs_of(feature(percentage=20), rule=Approvals(widening=3), new_rule=None)

    assert found == {FEATURE: Needed(3, owner=False)}


def plan_without_proof() -> Plan:
    inputs = inputs_of(TEN)
    inputs = replace(inputs, applied=replace(inputs.applied, approvals=RULE))
    file = rollout(feature(percentage=20), None)
    plan = make_plan(file, inputs)
    return with_approvals(
        plan, find_needs(plan, file, inputs, ("CODEOWNERS",)), NoEvidence("why", waits=True)
    )


def test_missing_approvals_refuse_and_wait_only_for_an_answer() -> None:
    plan = plan_without_proof()

    assert [name for name, _ in plan.refusing] == [FEATURE, "approvals", "approvals"]
    assert plan.only_waits
    assert plan.allowed_at is None


def test_a_promotion_is_proposed_before_people_can_approve_it() -> None:
    assert without_approvals(plan_without_proof()).refusing == ()


def test_a_person_allows_all_of_it_and_a_commit_nothing_of_the_rule() -> None:
    plan = plan_without_proof()
    person = Allowed(GuardName.APPROVAL, reason="urgent")

    assert not plan.allowing(frozenset({person})).refusing
    by_commit = plan.allowing(frozenset({replace(person, feature=FEATURE, commit="c")}))
    assert [name for name, _ in by_commit.refusing] == ["approvals", "approvals"]


@pytest.mark.parametrize(("in_git", "is_wider"), [(90, True), (10, False), (5, False)])
def test_a_commit_that_declares_more_than_was_applied_from_it_is_found(
    in_git: int, is_wider: bool
) -> None:
    inputs = inputs_of(TEN)
    inputs = replace(inputs, applied=replace(inputs.applied, approvals=RULE))
    file = rollout(feature(percentage=91))
    plan = make_plan(file, inputs)
    needs = find_needs(plan, file, inputs, ())

    base = rollout(feature(percentage=in_git))

    assert is_wider_in_git(plan, needs, inputs, base) is is_wider


PEOPLE = ("ann", "Bob", "carl", "dora", "eve")
REVIEWS = st.builds(
    Review,
    by=st.sampled_from((*PEOPLE, "bob", None)),
    state=st.sampled_from(ReviewState),
    commit=st.sampled_from(("head", "older", None)),
    is_bot=st.booleans(),
    may_write=st.booleans(),
    is_overtaken=st.booleans(),
)
CHANGE = FilesChange(Files(rollout(TEN)), Files(rollout(feature(percentage=20))))


@given(
    st.lists(REVIEWS, max_size=8),
    st.frozensets(st.sampled_from(PEOPLE), max_size=3),
    st.integers(1, 3),
    st.booleans(),
)
def test_only_another_persons_last_word_on_the_head_counts(
    reviews: list[Review], authors: frozenset[str], number: int, needs_owner: bool
) -> None:
    made = PullRequest(1, "head", authors, tuple(reviews), CHANGE)
    owners = Owners(("@bob",), frozenset({"bob"}))
    evidence = ReviewedSteps("base", (Step("c", CHANGE, (made,)),), owners)
    expected = set()
    for person in {each.lower() for each in PEOPLE}:
        own = [each for each in reviews if (each.by or "").lower() == person]
        deciding = [
            each for each in own if each.state not in {ReviewState.COMMENTED, ReviewState.PENDING}
        ]
        if (
            deciding
            and deciding[-1].state is ReviewState.APPROVED
            and deciding[-1].commit == "head"
            and not deciding[-1].is_overtaken
            and deciding[-1].may_write
            and not deciding[-1].is_bot
            and person not in {each.lower() for each in authors}
        ):
            expected.add(person)

    judged = evidence.judge(OfFeature(FEATURE), Needed(number, owner=needs_owner))

    assert {each.name.lower() for each in judged.approvers} == expected
    is_enough = len(expected) >= number and (not needs_owner or "bob" in expected)
    assert (judged.missing is None) is is_enough


@given(st.lists(st.booleans(), min_size=1, max_size=5))
def test_each_change_needs_its_own_approval(approved: list[bool]) -> None:
    def reviews(is_approved: bool) -> tuple[Review, ...]:
        return (Review("bob", ReviewState.APPROVED, "head"),) if is_approved else ()

    steps = tuple(
        Step(f"c{at}", CHANGE, (PullRequest(at, "head", frozenset(), reviews(each), CHANGE),))
        for at, each in enumerate(approved)
    )

    judged = ReviewedSteps("base", steps).judge(OfFeature(FEATURE), Needed(1, owner=False))

    assert (judged.missing is None) is all(approved)


@pytest.mark.parametrize(
    ("before", "after", "is_reviewed"),
    [
        (None, None, True),
        (None, STOP, True),
        (STOP, STOP, True),
        (STOP, None, False),
        (STOP, override(5, 5), False),
    ],
)
def test_an_override_may_come_between_a_review_and_the_merge_and_not_go(
    before: Any, after: Any, is_reviewed: bool
) -> None:
    def limited(files: Files, limit: Any) -> Files:
        assert files.rollout is not None
        found = files.rollout.features[FEATURE].model_copy(update={"override": limit})
        return Files(files.rollout.model_copy(update={"features": {FEATURE: found}}))

    merged = FilesChange(limited(CHANGE.before, before), limited(CHANGE.after, after))

    assert OfFeature(FEATURE).is_reviewed(CHANGE, merged) is is_reviewed


@pytest.mark.parametrize(
    ("line", "path", "owned"),
    [
        ("* @a", "rollout.yaml", True),
        ("/rollout.yaml @a # the rollout", "rollout.yaml", True),
        ("rollout.yaml @a", "x/rollout.yaml", True),
        ("/rollout.yaml @a", "x/rollout.yaml", False),
        ("*.yaml @a\n/rollout.yaml", "rollout.yaml", False),
        ("docs/* @a", "docs/a/b.md", False),
        ("docs/* @a", "docs/b.md", True),
        ("docs/ @a", "x/docs/a/b.md", True),
        ("/docs/ @a", "x/docs/a/b.md", False),
        ("**/c.yaml @a", "a/b/c.yaml", True),
        ("a/** @a", "a/b/c.yaml", True),
        ("!rollout.yaml @a", "rollout.yaml", False),
        ("roll[o]ut.yaml @a", "rollout.yaml", False),
        ("# * @a", "rollout.yaml", False),
        ("roll\\ out.yaml @a", "roll out.yaml", True),
        ("Rollout.yaml @a", "rollout.yaml", False),
    ],
)
def test_the_last_matching_line_of_codeowners_has_the_owners(
    line: str, path: str, owned: bool
) -> None:
    assert owners_of(path, line) == (("@a",) if owned else ())
