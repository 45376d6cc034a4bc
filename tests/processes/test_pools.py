"""The client in pools of processes whose workers end by themselves, and in processes that end at once."""

import subprocess
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.postgres import Database
from tests.processes.programs import REPOSITORY, Worker, load, recorded

POOL = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
from rollout_client import RolloutClient

url, repository, method, begun = sys.argv[1:]
client = RolloutClient(url)

def work(_number):
    assert client.is_eligible(repository, "f", wait=10)
    return client.record(repository, "f", "github_actions", succeeded=True)

if __name__ == "__main__":
    if begun == "begun":
        assert client.is_eligible(repository, "f", wait=10)
        client.record(repository, "f", "github_actions", succeeded=True)
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        assert all(pool.map(work, range(10)))
    assert client.status().lost == 0, client.status()
"""


@pytest.mark.parametrize("begun", ["begun", "fresh"])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_pool_of_processes_writes_what_its_workers_recorded(
    worker: Worker, database: Database, tmp_path: Path, method: str, begun: str
) -> None:
    load(database)
    path = tmp_path / "pool.py"
    path.write_text(POOL)
    ended = worker.run(database, str(path), database.url, REPOSITORY, method, begun)
    assert ended.returncode == 0, ended.stderr
    assert recorded(database) == (11 if begun == "begun" else 10), ended.stderr


ENDING = """
import atexit, os, signal, sys, threading, time
from rollout_client import RolloutClient
url, repository, way = sys.argv[1:]
client = RolloutClient(url)
assert client.wait_until_ready(10)

def record(**settings):
    assert client.record(repository, "f", "github_actions", succeeded=True, **settings)

match way:
    case "waits":
        record(wait=True)
        os._exit(0)
    case "flushes":
        record()
        assert client.flush(10)
        os._exit(0)
    case "goes_on":
        record()
        sys.stdin.read()
        os._exit(0)
    case "at_exit":
        atexit.register(record)
    case "in_handler":
        def handle(*_):
            record()
            sys.exit()
        signal.signal(signal.SIGTERM, handle)
        os.kill(os.getpid(), signal.SIGTERM)
    case "in_thread_pool":
        from concurrent.futures import ThreadPoolExecutor
        pool = ThreadPoolExecutor(1)
        pool.submit(time.sleep, 0.3)
        pool.submit(record)
    case "in_thread":
        threading.Thread(target=record).start()
"""


@pytest.mark.parametrize(
    "way", ["waits", "flushes", "at_exit", "in_handler", "in_thread", "in_thread_pool"]
)
def test_an_outcome_is_written_however_the_process_ends(
    worker: Worker, database: Database, way: str
) -> None:
    load(database)
    ended = worker.run(database, "-c", ENDING, database.url, REPOSITORY, way)
    assert ended.returncode == 0, ended.stderr
    assert recorded(database) == 1


def test_an_outcome_is_written_while_the_process_goes_on(
    worker: Worker, database: Database
) -> None:
    load(database)
    with subprocess.Popen(
        [worker.environment.python, "-c", ENDING, database.url, REPOSITORY, "goes_on"],
        env=worker.variables(database),
        stdin=subprocess.PIPE,
    ) as process:
        try:
            eventually(lambda: recorded(database) == 1)
            assert process.poll() is None
        finally:
            process.kill()


INTERRUPTED = """
import signal, sys, time
from rollout_client import CircuitSettings, RolloutClient

url, repository = sys.argv[1:]
changes = []
client = RolloutClient(
    url, on_change=changes.append, circuit=CircuitSettings(min_jobs=2, max_failures_in_a_row=2)
)
taken = []

def record(*_):
    # An id, a name and one that is not known: each takes another way.
    for each in (repository, "acme/site", "not/known"):
        if client.record(each, "f", "github_actions", succeeded=len(taken) % 7 < 4):
            taken.append(each)

signal.signal(signal.SIGALRM, record)
signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)
assert client.wait_until_ready(10)
end = time.monotonic() + 2
while time.monotonic() < end:
    record()
    client.is_eligible(repository, "f")
    client.status()
signal.setitimer(signal.ITIMER_REAL, 0)
assert client.flush(30)
print(len(taken), client.status().waiting)
"""


def test_a_signal_handler_may_record_whatever_it_interrupts(
    worker: Worker, database: Database
) -> None:
    load(database)
    ended = worker.run(database, "-c", INTERRUPTED, database.url, REPOSITORY)
    assert ended.returncode == 0, ended.stderr
    taken, waiting = map(int, ended.stdout.split())
    assert taken > 0
    assert (waiting, recorded(database)) == (0, taken)


WITHOUT_THREADS = """
import sys, threading, time
from rollout_client import RolloutClient

url, repository = sys.argv[1:]
client = RolloutClient(url)
usual = threading.stack_size(1 << 46)  # more than there is: the system gives no thread
assert not client.is_eligible(repository, "f")
assert "cannot start" in client.status().failure, client.status()
assert client.record(repository, "f", "github_actions", succeeded=True)
assert client.flush(10), "without a thread it is written here"
threading.stack_size(usual)
assert client.is_eligible(repository, "f", wait=10)
assert client.status().failure is None, client.status()
assert client.record(repository, "f", "github_actions", succeeded=True)
"""


def test_where_no_thread_can_be_started_it_is_tried_again(
    worker: Worker, database: Database
) -> None:
    load(database)
    ended = worker.run(database, "-c", WITHOUT_THREADS, database.url, REPOSITORY)
    assert ended.returncode == 0, ended.stderr
    assert "the client cannot start: can't start new thread; it is tried again" in ended.stderr
    assert recorded(database) == 2


GEVENT = """
import gevent.monkey
gevent.monkey.patch_all()
import os, sys, time
import gevent
from rollout_client import RolloutClient

url, repository = sys.argv[1:]
client = RolloutClient(url)
assert client.is_eligible(repository, "f", wait=10)
assert client.record(repository, "f", "github_actions", succeeded=True, wait=True)
child = os.fork()
for _ in range(20):
    # Other greenlets run meanwhile, and those of the parent end here.
    gevent.sleep(0.05)
    assert client.is_eligible(repository, "f"), (child, client.status())
assert client.record(repository, "f", "github_actions", succeeded=True, wait=True)
assert client.status().failure is None, client.status()
client.close()
if child:
    assert os.waitpid(child, 0)[1] == 0
"""


def test_a_gevent_process_may_fork_while_it_follows(worker: Worker, database: Database) -> None:
    load(database)
    ended = worker.run(database, "-c", GEVENT, database.url, REPOSITORY)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert recorded(database) == 3


GEVENT_IN_A_READ = """
import gevent.monkey
gevent.monkey.patch_all()
import json, os, sys
import gevent, psycopg
from rollout_client import RolloutClient

url, repository = sys.argv[1:]
READS = (
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    " AND application_name = 'reconcile-client'"
)
client = RolloutClient(url)
assert client.is_eligible(repository, "f", wait=10)
locking, other = psycopg.connect(url), psycopg.connect(url, autocommit=True)
locking.execute("LOCK TABLE rollout_configuration")
changed = json.dumps({"table": "rollout_configuration"})
other.execute("SELECT pg_notify('rollout_changed', %s)", [changed])
while not other.execute(READS).fetchone()[0]:
    gevent.sleep(0.01)
child = os.fork()
if child:  # both connections stay the parent's: the child neither uses nor closes them
    locking.rollback()
else:
    for _ in range(20):
        gevent.sleep(0.05)
        assert client.is_eligible(repository, "f"), client.status()
assert client.status().failure is None, client.status()
client.close()
if child:
    assert os.waitpid(child, 0)[1] == 0
    locking.close()
    other.close()
else:
    os._exit(0)
"""


def test_a_gevent_process_may_fork_inside_a_read(worker: Worker, database: Database) -> None:
    load(database)
    ended = worker.run(database, "-c", GEVENT_IN_A_READ, database.url, REPOSITORY)
    assert (ended.returncode, ended.stderr) == (0, "")
