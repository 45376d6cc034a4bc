"""Uses of the client that are easily wrong: each has an error, a wait, or one line in the log."""

import threading
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest

from rollout_client import RolloutClient
from tests.database.proxy import Proxy, Verdict
from tests.database.test_client import ACME, Clock, add_feature, following, load
from tests.eventually import DEADLINE_SECONDS
from tests.postgres import Database


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"poll_every": "5s"}, "poll_every is '5s': give a number of seconds or a timedelta"),
        ({"max_staleness": 0}, "must be above zero"),
        ({"start_timeout": float("nan")}, "start_timeout is nan"),
        ({"features": "f"}, r"features is a text: write features=\['f'\]"),
        ({"database_url": None}, r"database_url is None: give it a text, such as os\.environ"),
    ],
)
def test_an_argument_of_another_type_is_refused_with_what_to_write(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        RolloutClient(**{"database_url": "postgresql:///x", **arguments})


def test_a_closed_client_does_not_start_again() -> None:
    client = RolloutClient("postgresql://u@127.0.0.1:1/x", start_timeout=0.05)
    with client:
        pass
    for start in (client.start, client.wait_until_ready, client.__enter__):
        with pytest.raises(RuntimeError, match="the client is closed"):
            start()
    client.close()


def test_a_stale_client_is_not_ready(database: Database) -> None:
    load(database)
    clock = Clock()
    with Proxy(database) as proxy, following(Database(proxy.url), clock=clock) as client:
        assert client.wait_until_ready(0)
        proxy.is_up = False
        proxy.cut()
        clock.now += 301
        assert not client.wait_until_ready(0.1)
        proxy.is_up = True
        assert client.wait_until_ready(DEADLINE_SECONDS)


def test_a_question_may_wait_for_the_first_load(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    load(database)
    with closing(RolloutClient(database.url)) as client:
        assert client.is_eligible(ACME, "f", wait=DEADLINE_SECONDS)
    assert caplog.messages == []


def test_a_question_before_the_first_load_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with closing(RolloutClient("postgresql://u@127.0.0.1:1/x")) as client:
        for _ in range(3):
            assert not client.is_eligible(ACME, "f", wait=timedelta(milliseconds=1))
    assert len([each for each in caplog.messages if "asked before anything was read" in each]) == 1


def test_a_misspelt_feature_is_logged_once_with_the_nearest_name(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    load(database)
    add_feature(database, "hybrid_capture", rollout_percentage=100)
    with following(database, features=["f", "hybrid_capture", "hybird_capture"]) as client:
        for _ in range(3):
            assert not client.is_eligible(ACME, "hybird_capture")
            assert not client.is_eligible(ACME, "g")
    assert [each for each in caplog.messages if each.startswith("feature ")] == [
        "feature 'hybird_capture' is not known, the nearest name is 'hybrid_capture': the answer is no",
        "feature 'g' is not followed: add it to features=[...]",
    ]


def test_one_client_a_call_is_logged_at_the_third(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(5):
        RolloutClient("postgresql://worker:s3cret@127.0.0.1:1/one_a_call")
    assert caplog.messages == [
        "database one_a_call at 127.0.0.1 port 1 as worker: this is the third client of this process; "
        "make one and share it, since each has its own connections and loads all repositories"
    ]


def test_it_closes_in_time_although_its_server_is_mute(database: Database) -> None:
    load(database)
    is_open = threading.Event()
    is_open.set()
    held = threading.Event()

    def hold(_sent: bytes) -> Verdict:
        if not is_open.is_set():
            held.set()
            is_open.wait()
        return Verdict.FORWARD

    with Proxy(database, to_client=hold) as proxy:
        client = RolloutClient(proxy.url, poll_every=0.05)
        assert client.wait_until_ready(DEADLINE_SECONDS)
        is_open.clear()
        assert held.wait(DEADLINE_SECONDS)
        client.record(ACME, "f", "inngest", succeeded=True)
        ending = threading.Thread(target=client.close, args=(0.5,))
        ending.start()
        ending.join(5)
        is_ended = not ending.is_alive()
        is_open.set()
        ending.join()
    assert is_ended
    assert (client.status().waiting, client.status().dropped) == (0, 1)


def test_explain_leaves_the_probe_of_a_circuit_to_a_decision(database: Database) -> None:
    load(database)
    clock = Clock()
    with following(database, clock=clock) as client:
        for _ in range(5):
            client.record(ACME, "f", "github_actions", succeeded=False)
        clock.now += 31
        assert not any(client.explain(ACME, "f").eligible for _ in range(3))
        assert client.decide(ACME, "f").eligible
        assert not client.decide(ACME, "f").eligible


def test_a_function_is_asked_for_the_address_before_each_connection(database: Database) -> None:
    load(database)
    asked = 0

    def address() -> str:
        nonlocal asked
        asked += 1
        if asked == 2:
            raise OSError("the secret is being written")
        return database.url

    with closing(RolloutClient(address)) as client:
        assert client.is_eligible(ACME, "f", wait=DEADLINE_SECONDS)
        assert asked > 2
