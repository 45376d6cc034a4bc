"""The peers: other clients from PyPI, each with the same rule: a whitelist of 1,000 and 25 percent.

Each decides in the memory of its own process and sends nothing.
"""

import hashlib
import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

FEATURE: Final = "hybrid_progressive_capture"
PERCENTAGE: Final = 25

Ask = Callable[[Any], bool]


class Peer:
    """One client: how to set the repository, and how to ask for a decision."""

    def __init__(self, name: str, context: Callable[[str], object], ask: Ask) -> None:
        self.name = name
        self.context = context
        self.ask = ask


@contextmanager
def peers(whitelist: list[str]) -> Iterator[list[Peer]]:
    """Yield all peers, ready to decide, and close them afterwards."""
    logging.disable(logging.CRITICAL)
    with (
        tempfile.TemporaryDirectory() as folder,
        _launchdarkly(whitelist) as launchdarkly,
        _unleash(whitelist, folder) as unleash,
    ):
        yield [_growthbook(whitelist), launchdarkly, unleash, _openfeature(whitelist)]
    logging.disable(logging.NOTSET)


def _growthbook(whitelist: list[str]) -> Peer:
    from growthbook import GrowthBook

    rules = [
        {"condition": {"id": {"$in": whitelist}}, "force": True},
        {"force": True, "coverage": PERCENTAGE / 100, "hashAttribute": "id"},
    ]
    client = GrowthBook(features={FEATURE: {"defaultValue": False, "rules": rules}})

    def ask(attributes: dict[str, Any]) -> bool:
        client.set_attributes(attributes)
        return client.is_on(FEATURE)

    return Peer("growthbook", lambda id_: {"id": id_}, ask)


@contextmanager
def _launchdarkly(whitelist: list[str]) -> Iterator[Peer]:
    from ldclient.client import LDClient
    from ldclient.config import Config
    from ldclient.context import Context
    from ldclient.integrations.test_data import FlagBuilder, TestData

    class Flag(FlagBuilder):
        """The test data source supports no percentages; the evaluator does."""

        def _build(self, version: int) -> dict[str, Any]:
            weights = ((0, PERCENTAGE * 1000), (1, (100 - PERCENTAGE) * 1000))
            variations = [{"variation": each, "weight": weight} for each, weight in weights]
            return {
                **super()._build(version),
                "salt": FEATURE,
                "targets": [{"variation": 0, "values": whitelist}],
                "fallthrough": {"rollout": {"variations": variations}},
            }

    source = TestData.data_source()
    source.update(Flag(FEATURE).boolean_flag())
    client = LDClient(Config("none", update_processor_class=source, send_events=False))
    try:
        yield Peer(
            "launchdarkly-server-sdk",
            Context.create,
            lambda context: bool(client.variation(FEATURE, context, False)),  # noqa: FBT003 - its API
        )
    finally:
        client.close()  # type: ignore[no-untyped-call]


@contextmanager
def _unleash(whitelist: list[str], folder: str) -> Iterator[Peer]:
    from UnleashClient import UnleashClient  # type: ignore[attr-defined]
    from UnleashClient.cache import FileCache

    cache = FileCache("benchmark", directory=folder)
    strategies = [
        {"name": "userWithId", "parameters": {"userIds": ",".join(whitelist)}},
        {
            "name": "flexibleRollout",
            "parameters": {"rollout": str(PERCENTAGE), "stickiness": "userId", "groupId": FEATURE},
        },
    ]
    cache.bootstrap_from_dict(
        {
            "version": 2,
            "features": [{"name": FEATURE, "enabled": True, "strategies": strategies}],
        }
    )
    client = UnleashClient(
        "http://127.0.0.1:1",
        "benchmark",
        cache=cache,
        disable_metrics=True,
        disable_registration=True,
        verbose_log_level=100,
    )
    client.initialize_client(fetch_toggles=False)
    try:
        yield Peer(
            "UnleashClient",
            lambda id_: {"userId": id_},
            lambda context: bool(client.is_enabled(FEATURE, context)),
        )
    finally:
        client.destroy()


def _openfeature(whitelist: list[str]) -> Peer:
    from openfeature import api
    from openfeature.evaluation_context import EvaluationContext
    from openfeature.flag_evaluation import FlagResolutionDetails, Reason
    from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider

    listed = frozenset(whitelist)

    def evaluate(
        _flag: InMemoryFlag[bool], context: EvaluationContext
    ) -> FlagResolutionDetails[bool]:
        id_ = context.targeting_key or ""
        hashed = hashlib.sha256(f"{FEATURE}:{id_}".encode()).digest()
        value = id_ in listed or int.from_bytes(hashed[:4]) % 10_000 < PERCENTAGE * 100
        return FlagResolutionDetails(value, reason=Reason.TARGETING_MATCH)

    flag = InMemoryFlag("on", {"on": True, "off": False}, context_evaluator=evaluate)
    api.set_provider(InMemoryProvider({FEATURE: flag}))
    client = api.get_client()
    return Peer(
        "openfeature-sdk, in-memory provider",
        EvaluationContext,
        lambda context: client.get_boolean_value(FEATURE, False, context),  # noqa: FBT003 - its API
    )
