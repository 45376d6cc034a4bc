"""A Celery application whose one client is made before workers fork; its broker is a folder."""

import os
from pathlib import Path

from celery import Celery

from rollout_client import RolloutClient
from rollout_client.integrations import celery as rollout_celery

REPOSITORY = "10000000-0000-4000-8000-000000000001"

application = Celery("service")
folder = Path(os.environ["BROKER_FOLDER"])
application.conf.update(
    broker_url="filesystem://",
    broker_transport_options={
        "data_folder_in": str(folder),
        "data_folder_out": str(folder),
        "control_folder": str(folder / "control"),
        "polling_interval": 0.05,
    },
    worker_prefetch_multiplier=1,
    worker_enable_remote_control=False,
)
if "DATABASE_URL" in os.environ:
    client = RolloutClient(os.environ["DATABASE_URL"])
    if os.environ.get("INSTALLED"):
        rollout_celery.install()


@application.task(name="work")  # type: ignore[untyped-decorator]
def work() -> None:
    eligible = client.is_eligible(REPOSITORY, "f", wait=10)
    client.record(REPOSITORY, "f", "github_actions" if eligible else "inngest", succeeded=True)
