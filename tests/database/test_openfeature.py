"""The OpenFeature provider: its answers and events in the SDK's terms."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from queue import SimpleQueue
from typing import Any
from uuid import UUID

import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import EventDetails, ProviderEvent
from openfeature.exception import ErrorCode, OpenFeatureError, ProviderNotReadyError
from openfeature.flag_evaluation import FlagEvaluationDetails, Reason
from openfeature.provider import ProviderStatus

from rollout_client import CircuitSettings, RolloutClient
from rollout_client.openfeature import RolloutProvider
from tests.database.proxy import Proxy
from tests.database.test_client import ACME, OTHER, Clock, add_feature, load
from tests.eventually import eventually
from tests.postgres import Database

DOMAIN = "test"
AT_ONCE = timedelta(milliseconds=50)


@contextmanager
def asking(provider: RolloutProvider) -> Iterator[OpenFeatureClient]:
    api.set_provider_and_wait(provider, DOMAIN)
    try:
        yield api.get_client(DOMAIN)
    finally:
        api.shutdown()
        api.clear_providers()


def ask(
    client: OpenFeatureClient, flag: str, repository: str | None
) -> FlagEvaluationDetails[bool]:
    return client.get_boolean_details(flag, False, EvaluationContext(repository))


def test_each_rule_has_its_reason(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    load(database, rollout_percentage=100)
    add_feature(database, "some", rollout_percentage=50, excluded_repositories=["other/tools"])
    add_feature(database, "nobody", rollout_percentage=0, target_repositories=["acme/*"])
    add_feature(database, "listed", rollout_strategy="whitelist", target_repositories=["acme/*"])
    add_feature(database, "small", rollout_strategy="repository_size", rollout_percentage=10)
    add_feature(database, "stopped", emergency_stop=True, rollout_percentage=100)
    add_feature(database, "inactive", is_active=False, rollout_percentage=100)
    database.execute(f"UPDATE repositories SET stargazers_count = 9000 WHERE id = '{OTHER}'")
    monkeypatch.setenv("ROLLOUT_EMERGENCY_STOP", "here")

    with asking(RolloutProvider(RolloutClient(database.url))) as client:
        found = [
            (flag, ask(client, flag, repository))
            for flag, repository in (
                ("f", ACME),
                ("f", "acme/unknown"),
                ("some", "Acme/Site"),
                ("some", OTHER),
                ("nobody", "acme/site"),
                ("nobody", "other/tools"),
                ("listed", "other/tools"),
                ("small", "acme/site"),
                ("small", "other/tools"),
                ("stopped", "acme/site"),
                ("inactive", "acme/site"),
                ("here", "acme/site"),
            )
        ]

    assert [
        (flag, each.value, each.variant, str(each.reason), each.flag_metadata["rule"])
        for flag, each in found
    ] == [
        ("f", True, "on", "STATIC", "percentage_strategy"),
        ("f", False, "off", "DEFAULT", "unknown_repository"),
        ("some", True, "on", "SPLIT", "percentage_strategy"),
        ("some", False, "off", "TARGETING_MATCH", "excluded"),
        ("nobody", True, "on", "TARGETING_MATCH", "whitelisted"),
        ("nobody", False, "off", "STATIC", "percentage_strategy"),
        ("listed", False, "off", "DEFAULT", "whitelist_strategy"),
        ("small", True, "on", "TARGETING_MATCH", "size_strategy"),
        ("small", False, "off", "DEFAULT", "size_strategy"),
        ("stopped", False, "off", "DISABLED", "emergency_stop"),
        ("inactive", False, "off", "DISABLED", "inactive"),
        ("here", False, "off", "DISABLED", "environment_stop"),
    ]
    assert found[2][1].flag_metadata == {
        "rule": "percentage_strategy",
        "bucket": 2683,
        "category": "test",
        "percentage": 50.0,
    }


def test_the_attribute_names_the_repository_ahead_of_the_targeting_key(database: Database) -> None:
    load(database, rollout_percentage=0, target_repositories=["acme/*"])

    with asking(RolloutProvider(RolloutClient(database.url))) as client:

        def asked(key: Any, **attributes: Any) -> FlagEvaluationDetails[bool]:
            return client.get_boolean_details("f", False, EvaluationContext(key, attributes))

        assert asked("ada@example.com", repository="acme/site").value
        assert not asked("acme/site", repository="other/tools").value
        assert asked("acme/site", repository=None).value
        assert asked(UUID(ACME)).value
        assert asked(None).error_code is ErrorCode.TARGETING_KEY_MISSING
        assert asked("", repository="").flag_metadata["rule"] == "unknown_repository"
        assert asked(7).error_code is ErrorCode.INVALID_CONTEXT
        assert asked("acme/site", repository=["acme/site"]).error_code is ErrorCode.INVALID_CONTEXT


def test_a_repository_is_required_only_if_the_answer_depends_on_it(database: Database) -> None:
    load(database, emergency_stop=True)
    add_feature(database, "g")

    with asking(RolloutProvider(RolloutClient(database.url))) as client:
        assert ask(client, "f", None).reason == Reason.DISABLED
        assert ask(client, "g", None).error_code is ErrorCode.TARGETING_KEY_MISSING
        assert ask(client, "unknown", None).error_code is ErrorCode.FLAG_NOT_FOUND


def test_the_asynchronous_evaluation_gives_the_same_answer(database: Database) -> None:
    load(database, rollout_percentage=100)

    with asking(RolloutProvider(RolloutClient(database.url))) as client:
        context = EvaluationContext(ACME)
        details = asyncio.run(client.get_boolean_details_async("f", False, context))
        other = asyncio.run(client.get_string_details_async("f", "no", context))

    assert (details.value, details.reason) == (True, Reason.STATIC)
    assert (other.value, other.error_code) == ("no", ErrorCode.TYPE_MISMATCH)


def test_without_the_database_the_default_counts_until_something_is_known(
    database: Database,
) -> None:
    load(database, rollout_percentage=100)
    with Proxy(database) as proxy:
        proxy.is_up = False
        provider = RolloutProvider(RolloutClient(proxy.url, start_timeout=AT_ONCE))
        with pytest.raises(ProviderNotReadyError), asking(provider):
            pass
        provider = RolloutProvider(RolloutClient(proxy.url, start_timeout=AT_ONCE))
        api.set_provider(provider, DOMAIN)
        client = api.get_client(DOMAIN)
        eventually(lambda: client.get_provider_status() is ProviderStatus.ERROR)
        assert ask(client, "f", ACME).error_code is ErrorCode.PROVIDER_NOT_READY

        proxy.is_up = True

        eventually(lambda: client.get_provider_status() is ProviderStatus.READY)
        assert ask(client, "f", ACME).value
        api.clear_providers()


def test_a_stale_flag_is_off_and_reported_as_stale(database: Database) -> None:
    load(database, rollout_percentage=100)
    clock = Clock()
    told: SimpleQueue[str] = SimpleQueue()
    with Proxy(database) as proxy:
        rollout = RolloutClient(proxy.url, clock=clock)
        with asking(RolloutProvider(rollout)) as client:
            client.add_handler(ProviderEvent.PROVIDER_STALE, lambda _: told.put("stale"))
            proxy.is_up = False
            proxy.cut()
            clock.now += 301

            details = client.get_boolean_details("f", True, EvaluationContext(ACME))
            assert (details.value, details.variant, details.reason) == (False, "off", Reason.STALE)
            assert told.get(timeout=30) == "stale"
            assert client.get_provider_status() is ProviderStatus.STALE

            client.add_handler(ProviderEvent.PROVIDER_READY, lambda _: told.put("ready"))
            proxy.is_up = True
            assert told.get(timeout=30) == "ready"
            assert ask(client, "f", ACME).value


def test_a_change_event_names_the_changed_features(database: Database) -> None:
    load(database, rollout_percentage=100)
    add_feature(database, "g")
    told: SimpleQueue[EventDetails] = SimpleQueue()
    heard: SimpleQueue[frozenset[str]] = SimpleQueue()
    rollout = RolloutClient(database.url, on_change=heard.put)
    with asking(RolloutProvider(rollout)) as client:
        client.add_handler(ProviderEvent.PROVIDER_CONFIGURATION_CHANGED, told.put)

        database.execute(
            "UPDATE rollout_configuration SET emergency_stop = true WHERE feature_name = 'g'"
        )

        event = told.get(timeout=30)
        assert event.flags_changed == ["g"]
        assert event.provider_name == "rollout-reconciler"
    assert "g" in heard.get(timeout=30), "the client's own handler is called too"


def test_an_open_circuit_disables_the_feature_here(database: Database) -> None:
    load(database, rollout_percentage=100)
    rollout = RolloutClient(database.url, circuit=CircuitSettings(min_jobs=1))
    with asking(RolloutProvider(rollout)) as client:
        rollout.record(ACME, "f", "github_actions", succeeded=False)
        details = ask(client, "f", ACME)

    assert (details.value, details.reason) == (False, Reason.DISABLED)
    assert details.flag_metadata["rule"] == "circuit_open"


def test_a_provider_shuts_down_for_good_and_leaves_no_thread(database: Database) -> None:
    load(database)
    provider = RolloutProvider(RolloutClient(database.url))
    with asking(provider):
        pass

    assert "rollout-events" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(OpenFeatureError) as raised:
        provider.initialize(EvaluationContext())
    assert raised.value.error_code is ErrorCode.PROVIDER_FATAL
