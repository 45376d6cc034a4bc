"""The client for the tests of a service."""

from rollout_client import CircuitState, Job
from rollout_client.targeting.eligibility import Rule
from rollout_client.testing import FakeRolloutClient


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
