"""The OpenFeature provider across a fork, as under `gunicorn --preload` and uWSGI."""

import pytest

from tests.eventually import eventually
from tests.postgres import Database
from tests.processes.programs import REPOSITORY, Worker, load, running
from tests.processes.test_uwsgi import UWSGI

FORKED = """
import os, sys, threading, time
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEvent
from openfeature.provider import ProviderStatus
from rollout_client import RolloutClient
from rollout_client.openfeature import RolloutProvider

url, repository, moment = sys.argv[1:]
forked = threading.Event()

class Provider(RolloutProvider):
    def initialize(self, context):
        if moment == "before it starts":
            forked.wait()
        super().initialize(context)

provider = Provider(RolloutClient(url))
if moment != "after it is ready":
    api.set_provider(provider)
else:
    api.set_provider_and_wait(provider)
child_listens, listening = os.pipe()
children = [os.fork() for _ in range(1)]
if children[0]:
    forked.set()
flags = api.get_client()
deadline = time.monotonic() + 30
while flags.get_provider_status() is not ProviderStatus.READY:
    assert time.monotonic() < deadline, flags.get_provider_status()
    time.sleep(0.01)
assert flags.get_boolean_value("f", False, EvaluationContext(repository))
changes = []
flags.add_handler(ProviderEvent.PROVIDER_CONFIGURATION_CHANGED, changes.append)
print("ready", flush=True)
if children[0] == 0:
    os.write(listening, b"1")
    while flags.get_boolean_value("f", False, EvaluationContext(repository)) or not changes:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os._exit(0)
import psycopg
# The child must listen before the change: it would see the change, and no event of it.
os.read(child_listens, 1)
with psycopg.connect(url) as connection:
    connection.execute("UPDATE rollout_configuration SET emergency_stop = true")
assert os.waitpid(children[0], 0)[1] == 0
"""


@pytest.mark.parametrize("moment", ["before it starts", "before it is ready", "after it is ready"])
def test_a_child_is_ready_and_has_events_whenever_it_was_forked(
    worker: Worker, database: Database, moment: str
) -> None:
    load(database)
    ended = worker.run(database, "-c", FORKED, database.url, REPOSITORY, moment)
    assert ended.returncode == 0, ended.stderr


ORDER = """
import os
from rollout_client import fork

class Each:
    def __init__(self, number):
        self.number = number
        fork.register(self)

    def restart_after_fork(self):
        print(self.number, end=" ", flush=True)

kept = [Each(number) for number in range(50)]
child = os.fork()
if child == 0:
    os._exit(0)
os.waitpid(child, 0)
"""


def test_what_uses_a_client_restarts_after_the_client(worker: Worker, database: Database) -> None:
    ended = worker.run(database, "-c", ORDER)
    assert ended.stdout.split() == [str(number) for number in range(50)], ended.stderr


MODULE = "tests.processes.openfeature_service"
SERVERS = {
    "uwsgi": [*UWSGI[:-1], f"{MODULE}:service", "--py-call-uwsgi-fork-hooks"],
    "gunicorn": [
        "gunicorn", "--workers", "2", "--preload", "--bind", "unix:service.sock", f"{MODULE}:service",
    ],
}  # fmt: skip


@pytest.mark.parametrize("server", SERVERS)
def test_a_provider_that_was_set_before_workers_forked_follows_in_each(
    worker: Worker, database: Database, server: str
) -> None:
    load(database)
    with running(worker, SERVERS[server], database) as program:
        program.wait_until_serving()
        program.wait_until_each_decides(2)
        assert all(program.get("/")["status"] == "READY" for _ in range(10))
        database.execute("UPDATE rollout_configuration SET emergency_stop = true")
        eventually(lambda: not any(program.get("/")["eligible"] for _ in range(10)))
        # The event of the change arrives in each worker.
        eventually(lambda: all(program.get("/")["changed"] for _ in range(10)))
