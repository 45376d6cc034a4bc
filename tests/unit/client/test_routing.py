"""The processor of a job."""

import pytest

from rollout_client.route import Job, JobRule, Route, Routing

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
