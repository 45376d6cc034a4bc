"""A service for any ASGI server; its client starts and writes its outcomes in the lifespan."""

import json
import os
from typing import Any

from rollout_client import RolloutClient
from rollout_client.integrations.asgi import Message, Receive, RolloutMiddleware, Send

REPOSITORY = "10000000-0000-4000-8000-000000000001"

client = RolloutClient(os.environ["DATABASE_URL"])


async def without_lifespan(scope: Message, _receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        raise ValueError("only HTTP")
    answer: dict[str, Any] = {"eligible": client.is_eligible(REPOSITORY, "f")}
    if scope["path"] == "/record":
        answer["taken"] = client.record(REPOSITORY, "f", "github_actions", succeeded=True)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


application = RolloutMiddleware(without_lifespan, client)
