"""A WSGI service that asks OpenFeature; the provider is set before workers fork, and no line waits for it."""

import json
import os
from collections.abc import Callable, Iterable
from typing import Any

from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import EventDetails, ProviderEvent

from rollout_client import RolloutClient
from rollout_client.openfeature import RolloutProvider

REPOSITORY = "10000000-0000-4000-8000-000000000001"

api.set_provider(RolloutProvider(RolloutClient(os.environ["DATABASE_URL"])))
flags = api.get_client()
changed: list[EventDetails] = []
flags.add_handler(ProviderEvent.PROVIDER_CONFIGURATION_CHANGED, changed.append)


def service(
    _environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], Any]
) -> Iterable[bytes]:
    answer = {
        "pid": os.getpid(),
        "eligible": flags.get_boolean_value("f", False, EvaluationContext(REPOSITORY)),
        "status": flags.get_provider_status().value,
        "changed": bool(changed),
    }
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]
