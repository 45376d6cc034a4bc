"""A FastAPI service; its client starts and writes its outcomes with the lifespan."""

import os

from fastapi import FastAPI

from rollout_client import RolloutClient
from rollout_client.integrations.asgi import rollout_lifespan

REPOSITORY = "10000000-0000-4000-8000-000000000001"

client = RolloutClient(os.environ["DATABASE_URL"])
application = FastAPI(lifespan=rollout_lifespan(client))


@application.get("/")
def decide() -> dict[str, bool]:
    return {"eligible": client.is_eligible(REPOSITORY, "f")}


@application.get("/record")
def record() -> dict[str, bool]:
    taken = client.record(REPOSITORY, "f", "github_actions", succeeded=True)
    return {"eligible": client.is_eligible(REPOSITORY, "f"), "taken": taken}
