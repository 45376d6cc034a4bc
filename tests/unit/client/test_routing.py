"""The processor of a job."""

from typing import Any

import pytest

from rollout_client.route import Job, JobRule, Load, Route, Routing, read_routing, size_limits

HISTORY = Routing(
    rules=(
        JobRule("inngest", kinds=frozenset({"comments"}), largest=10),
        JobRule("batch", smallest=1000),
    )
)


def test_by_default_eligible_jobs_go_to_the_features_processor() -> None:
    job = Job("f")
    assert Routing().route(job, eligible=True) == Route("github_actions", eligible=True)
    assert Routing().route(job, eligible=False) == Route("inngest", eligible=False)


@pytest.mark.parametrize(
    ("kind", "size", "processor"),
    [
        ("comments", 10, "inngest"),
        ("comments", 11, "github_actions"),
        ("reviews", 10, "github_actions"),
        ("reviews", 999, "github_actions"),
        ("reviews", 1000, "batch"),
        ("comments", 1000, "batch"),
    ],
)
def test_the_first_rule_that_fits_selects_the_processor(
    kind: str, size: int, processor: str
) -> None:
    assert HISTORY.route(Job("f", kind, size), eligible=True).processor == processor


def test_no_job_rule_makes_a_repository_eligible() -> None:
    assert HISTORY.route(Job("f", "reviews", 1000), eligible=False).processor == "inngest"


RULES: tuple[dict[str, Any], ...] = (
    {"when": {"size": "<=10"}, "to": "inngest", "because": "somebody waits for it"},
    {"when": {"kind": ["pull_requests"], "category": ["large", "enterprise"]}, "to": "cheapest"},
    {"when": {"size": ">1000"}, "to": "inngest"},
)


def test_the_first_rule_that_fits_takes_a_job_of_an_eligible_repository() -> None:
    routing = read_routing("github_actions", "inngest", RULES)
    small = Job("f", "pull_requests", size=10)
    assert routing.route(small, eligible=True, category="large") == Route(
        "inngest", eligible=True, rule=1, because="somebody waits for it"
    )
    large = Job("f", "pull_requests", size=11)
    assert routing.route(large, eligible=True, category="large").rule == 2
    assert routing.route(large, eligible=True, category="small") == Route(
        "github_actions", eligible=True
    )


def test_no_rule_takes_a_job_of_a_repository_that_is_not_eligible() -> None:
    routing = read_routing("new", "old", ({"to": "new"},))
    assert routing.route(Job("f"), eligible=False) == Route("old", eligible=False)


def test_a_rule_about_an_unknown_category_gives_the_fallback() -> None:
    routing = read_routing("new", "old", ({"when": {"category": ["small"]}, "to": "new"},))
    assert routing.needs_categories
    assert routing.route(Job("f"), eligible=True) == Route("old", eligible=True)


def test_the_cheapest_processor_is_the_chosen_one_of_the_category() -> None:
    choice = {"rule": RULES[1], "category": "large", "processor": "inngest"}
    routing = read_routing("github_actions", "inngest", RULES, [choice])
    job = Job("f", "pull_requests", size=100)
    assert routing.route(job, eligible=True, category="large").processor == "inngest"
    assert routing.route(job, eligible=True, category="enterprise").processor == "github_actions"


def test_a_choice_for_another_rule_does_not_count() -> None:
    choice = {"rule": {"to": "cheapest"}, "category": "large", "processor": "inngest"}
    routing = read_routing("github_actions", "inngest", RULES, [choice])
    job = Job("f", "pull_requests", size=100)
    assert routing.route(job, eligible=True, category="large").processor == "github_actions"


@pytest.mark.parametrize(
    "rule", [{}, {"to": "new", "when": {"size": "ten"}}, "new", {"to": 1, "when": 2}]
)
def test_rules_that_cannot_be_read_give_the_fallback(rule: Any) -> None:
    routing = read_routing("new", "old", ({"to": "new"}, rule))
    assert routing.route(Job("f"), eligible=True).processor == "old"


@pytest.mark.parametrize(
    ("written", "limits"),
    [
        ("<=10", (0, 10)),
        ("<10", (0, 9)),
        (">= 10", (10, None)),
        (">10", (11, None)),
        ("=7", (7, 7)),
    ],
)
def test_a_comparison_of_a_size_has_inclusive_limits(
    written: str, limits: tuple[int, int | None]
) -> None:
    assert size_limits(written) == limits


SPILLING = read_routing("new", "old", ({"to": "new", "spill": True, "because": "it is cheaper"},))
FULL, FREE = Load(concurrency=2, running=2), Load(concurrency=2, running=1)


@pytest.mark.parametrize(
    ("loads", "processor"),
    [
        ({}, "new"),
        ({"new": FREE}, "new"),
        ({"new": FULL}, "old"),
        ({"new": FULL, "old": FREE}, "old"),
        ({"new": FULL, "old": FULL}, "new"),
        ({"new": Load(concurrency=2, running=9)}, "old"),
        ({"old": FULL}, "new"),
        (None, "old"),
    ],
)
def test_a_rule_with_spill_leaves_a_full_processor(
    loads: dict[str, Load] | None, processor: str
) -> None:
    route = SPILLING.route(Job("f"), eligible=True, loads=loads)
    assert route == Route(processor, eligible=True, rule=1, because="it is cheaper")


def test_a_rule_to_the_fallback_spills_to_the_features_processor() -> None:
    routing = read_routing("new", "old", ({"to": "old", "spill": True},))
    assert routing.route(Job("f"), eligible=True, loads={"old": FULL}).processor == "new"


def test_a_rule_without_spill_stays_on_a_full_processor() -> None:
    routing = read_routing("new", "old", ({"to": "new"},))
    for loads in ({"new": FULL}, None):
        assert routing.route(Job("f"), eligible=True, loads=loads).processor == "new"
