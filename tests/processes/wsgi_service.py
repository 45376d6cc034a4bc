"""A service for any WSGI server: it decides and records; its one client is made before workers fork."""

import json
import os
from collections.abc import Callable, Iterable
from typing import Any

from rollout_client import RolloutClient
from rollout_client.integrations.wsgi import RolloutMiddleware

REPOSITORY = "10000000-0000-4000-8000-000000000001"

client = RolloutClient(os.environ["DATABASE_URL"])
if os.environ.get("READY_BEFORE_FORK"):
    client.wait_until_ready()


def service(
    environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], Any]
) -> Iterable[bytes]:
    answer: dict[str, Any] = {"pid": os.getpid()}
    match environ["PATH_INFO"]:
        case "/decide":
            answer["eligible"] = client.is_eligible(REPOSITORY, "f", wait=5)
            answer["failure"] = client.status().failure
        case "/record":
            answer["taken"] = client.record(REPOSITORY, "f", "github_actions", succeeded=True)
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]


application = RolloutMiddleware(service, client)
