"""The client in processes as services run them: they fork, end and import."""

import subprocess
import sys

from tests.builders import RepositoryRow, add_repositories
from tests.postgres import PROJECT, Database

REPOSITORY = "10000000-0000-4000-8000-000000000001"

FORKING = """
import os, sys, time
from rollout_client import RolloutClient

def until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        if time.monotonic() > deadline:
            sys.exit("it did not come to be")
        time.sleep(0.005)

url, repository = sys.argv[1:]
client = RolloutClient(url)
with client:
    until(lambda: client.is_eligible(repository, "f"))
    child = os.fork()
    who = "parent" if child else "child"
    # What the parent knew is known, before the child has a connection.
    assert client.is_eligible(repository, "f"), who
    print(who, flush=True)
    until(lambda: not client.is_eligible(repository, "f"))
    assert client.status().failure is None, client.status()
if child:
    assert os.waitpid(child, 0)[1] == 0
print(who, "stopped", flush=True)
"""


def load(database: Database) -> None:
    add_repositories(database, RepositoryRow("acme/site", id=REPOSITORY))
    database.execute(
        "INSERT INTO rollout_configuration (feature_name, rollout_percentage) VALUES ('f', 100)"
    )


def start(program: str, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program, *arguments],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_forked_child_follows_on_a_connection_of_its_own(
    database: Database,
) -> None:
    load(database)
    process = start(FORKING, database.url, REPOSITORY)
    assert process.stdout is not None
    assert sorted(process.stdout.readline() for _ in range(2)) == ["child\n", "parent\n"]

    database.execute("UPDATE rollout_configuration SET emergency_stop = true")

    said, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert sorted(said.splitlines()) == ["child stopped", "parent stopped"]
    assert errors == ""


def test_the_client_imports_no_toolkit() -> None:
    program = (
        "import sys, rollout_client\n"
        "assert 'psycopg' not in sys.modules\n"
        "rollout_client.RolloutClient\n"
        "print(*{'reconciler', 'sqlalchemy', 'alembic', 'pydantic', 'yaml', 'click'} & sys.modules.keys())"
    )

    said, errors = start(program).communicate(timeout=60)

    assert errors == ""
    assert said == "\n"


RECORDING = """
import os, sys
from rollout_client import RolloutClient

url, repository = sys.argv[1:]
client = RolloutClient(url)
assert client.wait_until_ready()
for _ in range(700):
    assert client.record(repository, "f", "github_actions", succeeded=True)
child = os.fork()
if child == 0:
    client.record(repository, "f", "github_actions", succeeded=False)
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
"""


def test_a_process_and_its_child_record_everything_once_before_they_end(
    database: Database,
) -> None:
    load(database)

    process = start(RECORDING, database.url, REPOSITORY)
    errors = process.communicate(timeout=60)[1]

    assert (process.returncode, errors) == (0, "")
    # Where two sessions record at once, a merge puts some of their jobs into the table.
    database.value("SELECT merge_rollout_rollup(1000)")
    assert database.rows(
        "SELECT sum(success_count)::integer AS successes, sum(error_count)::integer AS errors"
        " FROM rollout_metrics"
    ) == [{"successes": 700, "errors": 1}]
