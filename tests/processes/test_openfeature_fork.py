"""The OpenFeature provider across a fork, as under `gunicorn --preload`."""

import pytest

from tests.postgres import Database
from tests.processes.programs import REPOSITORY, load
from tests.processes.test_pools import run

FORKED = """
import os, sys, time
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEvent
from openfeature.provider import ProviderStatus
from reconciler.client import RolloutClient
from reconciler.openfeature import RolloutProvider

url, repository, moment = sys.argv[1:]
provider = RolloutProvider(RolloutClient(url))
if moment == "before it is ready":
    api.set_provider(provider)
else:
    api.set_provider_and_wait(provider)
children = [os.fork() for _ in range(1)]
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
    while flags.get_boolean_value("f", False, EvaluationContext(repository)) or not changes:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os._exit(0)
import psycopg
with psycopg.connect(url) as connection:
    connection.execute("UPDATE rollout_configuration SET emergency_stop = true")
assert os.waitpid(children[0], 0)[1] == 0
"""


@pytest.mark.parametrize("moment", ["before it is ready", "after"])
def test_a_child_is_ready_and_has_events_whenever_it_was_forked(
    database: Database, moment: str
) -> None:
    load(database)
    ended = run(FORKED, database.url, REPOSITORY, moment)
    assert ended.returncode == 0, ended.stderr
