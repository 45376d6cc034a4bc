"""The client for the tests of a service."""

from pathlib import Path

import pytest

from rollout_client import CircuitState, Job
from rollout_client.targeting.buckets import bucket
from rollout_client.targeting.eligibility import Rule
from rollout_client.testing import Category, FakeRolloutClient, Repository


def test_it_decides_by_what_the_test_says() -> None:
    with FakeRolloutClient(eligible={"f": ["acme/*", "Other/Tools"], "g": []}) as client:
        assert client.wait_until_ready(0)
        assert client.is_eligible("acme/site", "f")
        assert client.is_eligible("ACME/anything", "f", wait=1)
        assert client.is_eligible("other/tools", "f")
        assert not client.is_eligible("other/site", "f")
        assert not client.is_eligible("acme/site", "g")
        assert client.explain("acme/site", "h").rule is Rule.UNKNOWN_FEATURE
        assert client.route("acme/site", Job("f")).processor == "github_actions"

        client.set_eligible({"f": []})
        assert not client.is_eligible("acme/site", "f")
    assert client.status().failure is None


def test_it_keeps_what_was_recorded_and_opens_circuits() -> None:
    client = FakeRolloutClient(eligible={"f": ["acme/*"]})
    for _ in range(5):
        assert client.record("acme/site", "f", "github_actions", succeeded=False, error="no")
    assert [(each.feature, each.succeeded, each.error) for each in client.outcomes] == [
        ("f", False, "no")
    ] * 5
    assert client.status().circuits == {"f": CircuitState.OPEN}
    assert not client.is_eligible("acme/site", "f")
    client.now += 30
    assert client.is_eligible("acme/site", "f")


FILE = """
version: 1
test_repositories: [tests/*]
features:
  listed: {strategy: whitelist, whitelist: [acme/*], exclusions: [acme/old]}
  half: {percentage: 50}
  sized: {strategy: repository_size, percentage: 10}
  stopped:
    percentage: 100
    override:
      id: 019343a7-6f8e-7c34-9a55-0b8a1f0d2c11
      emergency_stop: true
      reason: errors
      by: ada
      at: 2026-11-23T12:00:00Z
"""
SITE = Repository("10000000-0000-4000-8000-000000000001", "acme/site", Category.SMALL)


def test_it_decides_by_a_rollout_file(tmp_path: Path) -> None:
    path = tmp_path / "rollout.yaml"
    path.write_text(FILE)
    client = FakeRolloutClient.from_file(path, [SITE])

    assert client.is_eligible("acme/site", "listed")
    assert not client.is_eligible("acme/old", "listed")
    answer = client.explain("acme/site", "half")
    assert answer.bucket == client.explain(SITE.id, "half").bucket
    assert answer.eligible is (bucket("half", SITE.id) < 5000)
    assert client.is_eligible("tests/one", "sized")
    assert not client.is_eligible("acme/site", "sized")
    assert client.explain("acme/site", "stopped").rule is Rule.EMERGENCY_STOP


def test_it_routes_jobs_by_the_rules_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "rollout.yaml"
    path.write_text("""
version: 1
features:
  f:
    percentage: 100
    processor: new
    fallback: old
    routing:
      - {when: {size: "<=10", category: [small]}, to: old}
""")
    large = Repository("20000000-0000-4000-8000-000000000002", "acme/large", Category.LARGE)
    client = FakeRolloutClient.from_file(path, [SITE, large])
    assert client.route("acme/site", Job("f", size=10)).processor == "old"
    assert client.route("acme/site", Job("f", size=11)).processor == "new"
    assert client.route("acme/large", Job("f", size=10)).processor == "new"


def test_a_job_is_routed_and_recorded_with_its_time() -> None:
    client = FakeRolloutClient(eligible={"f": ["acme/*"]})
    job = Job("f", "reviews", 20)
    with client.job("acme/site", job) as route:
        assert route.processor == "github_actions"
    (outcome,) = client.outcomes
    assert (outcome.processor, outcome.succeeded) == ("github_actions", True)
    assert (outcome.kind, outcome.size) == ("reviews", 20)
    assert outcome.seconds is not None


def test_a_job_that_raises_is_recorded_as_failed() -> None:
    client = FakeRolloutClient(eligible={"f": ["acme/*"]})
    with pytest.raises(LookupError), client.job("other/site", Job("f")):
        raise LookupError("no branch")
    (outcome,) = client.outcomes
    assert (outcome.processor, outcome.succeeded) == ("inngest", False)
    assert outcome.error == "no branch"


def test_a_cancelled_job_is_not_recorded() -> None:
    client = FakeRolloutClient(eligible={"f": ["acme/*"]})
    with pytest.raises(KeyboardInterrupt), client.job("acme/site", Job("f")):
        raise KeyboardInterrupt
    assert client.outcomes == []


def test_an_open_circuit_gives_the_fallback_whatever_the_rules_are(tmp_path: Path) -> None:
    path = tmp_path / "rollout.yaml"
    path.write_text(
        "version: 1\nfeatures: {f: {percentage: 100, routing: [{to: github_actions}]}}\n"
    )
    client = FakeRolloutClient.from_file(path, [SITE])
    assert client.route("acme/site", Job("f")).processor == "github_actions"
    for _ in range(5):
        client.record("acme/site", "f", "github_actions", succeeded=False)
    assert client.route("acme/site", Job("f")).processor == "inngest"
