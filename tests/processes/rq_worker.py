"""An rq worker whose client is made before the process of a job is forked; it works until no job is left."""

import os
import sys

from redis import Redis
from rq import Queue, Worker

from rollout_client import RolloutClient
from rollout_client.integrations.rq import RolloutWorker

REPOSITORY = "10000000-0000-4000-8000-000000000001"

client = RolloutClient(os.environ["DATABASE_URL"])


def work() -> None:
    assert client.is_eligible(REPOSITORY, "f", wait=10)
    assert client.record(REPOSITORY, "f", "github_actions", succeeded=True)


def main(socket: str, worker: type[Worker]) -> None:
    client.wait_until_ready()
    connection = Redis(unix_socket_path=socket)
    for _ in range(3):
        Queue(connection=connection).enqueue("tests.processes.rq_worker.work")
    worker([Queue(connection=connection)], connection=connection).work(burst=True)
    sys.stdout.write(f"lost {client.status().lost}\n")


if __name__ == "__main__":
    # A job finds the client in this module by its name.
    sys.modules["tests.processes.rq_worker"] = sys.modules["__main__"]
    main(sys.argv[1], RolloutWorker if sys.argv[2] == "RolloutWorker" else Worker)
