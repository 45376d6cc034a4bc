"""The running jobs of a process, with a fake client."""

import threading

import pytest

from rollout_client import Job, Load, Routing
from rollout_client.route import JobRule
from rollout_client.testing import FakeRolloutClient

SPILLING = {"capture": Routing(rules=(JobRule("github_actions", number=1, spill=True),))}
JOB = Job("capture", "reviews", 5)
HOUR = 3600


def limited_client(concurrency: int, running: int = 0) -> FakeRolloutClient:
    client = FakeRolloutClient({"capture": ["acme/*"]}, routing=SPILLING)
    client.set_loads({"github_actions": Load(concurrency, running)})
    return client


def test_a_running_job_takes_a_place_until_its_end() -> None:
    client = limited_client(1)
    with client.job("acme/site", JOB) as first:
        assert first.processor == "github_actions"
        with client.job("acme/site", JOB) as second:
            assert second.processor == "inngest"
    assert client.route("acme/site", JOB).processor == "github_actions"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_a_job_that_fails_or_is_cancelled_gives_its_place_back(error: type[BaseException]) -> None:
    client = limited_client(1)
    with pytest.raises(error), client.job("acme/site", JOB):
        raise error
    assert client.route("acme/site", JOB).processor == "github_actions"


def test_jobs_of_other_processes_take_places() -> None:
    client = limited_client(3, running=2)
    with client.job("acme/site", JOB) as route:
        assert route.processor == "github_actions"
        assert client.route("acme/site", JOB).processor == "inngest"


def test_a_start_without_an_end_counts_for_an_hour() -> None:
    client = limited_client(1)
    abandoned = client.job("acme/site", JOB)
    abandoned.__enter__()
    client.now = HOUR - 1
    assert client.route("acme/site", JOB).processor == "inngest"
    client.now = HOUR
    assert client.route("acme/site", JOB).processor == "github_actions"
    abandoned.__exit__(None, None, None)
    with client.job("acme/site", JOB) as route:
        assert route.processor == "github_actions"
    assert client.route("acme/site", JOB).processor == "github_actions"


def test_a_job_of_the_fallback_takes_no_place_of_the_processor() -> None:
    client = limited_client(1)
    with client.job("other/site", JOB) as route:
        assert route.processor == "inngest"
        assert client.route("acme/site", JOB).processor == "github_actions"


def test_threads_of_a_process_never_exceed_the_limit() -> None:
    client = limited_client(4)
    begin, finish = threading.Barrier(16), threading.Barrier(16)
    processors: list[str] = []

    def run() -> None:
        begin.wait(60)
        with client.job("acme/site", JOB) as route:
            processors.append(route.processor)
            finish.wait(60)

    threads = [threading.Thread(target=run) for _ in range(16)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert (processors.count("github_actions"), processors.count("inngest")) == (4, 12)
