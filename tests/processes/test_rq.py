"""The client under rq: each job has a process that ends without exit handlers."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.postgres import Database
from tests.processes.programs import Worker, load, recorded

REDIS = shutil.which("redis-server")
pytestmark = pytest.mark.skipif(
    REDIS is None, reason="there is no redis-server: apt-get install redis-server"
)


@pytest.fixture
def redis() -> Iterator[Path]:
    """The socket of a server for one test."""
    assert REDIS is not None
    folder = Path(tempfile.mkdtemp(prefix="redis-"))
    socket = folder / "socket"
    process = subprocess.Popen(
        [REDIS, "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: socket.exists() or process.poll() is not None)
        yield socket
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


def work(worker: Worker, redis: Path, database: Database, kind: str) -> str:
    ended = worker.run(database, "-m", "tests.processes.rq_worker", str(redis), kind)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout + ended.stderr


def test_each_outcome_is_written_before_the_process_of_its_job_ends(
    worker: Worker, redis: Path, database: Database
) -> None:
    load(database)
    said = work(worker, redis, database, "RolloutWorker")
    assert recorded(database) == 3, said
    assert "lost 0" in said


def test_outcomes_that_a_process_took_with_it_are_counted(
    worker: Worker, redis: Path, database: Database
) -> None:
    load(database)
    gate = database.connect()
    gate.execute("LOCK TABLE rollout_metrics")
    said = work(worker, redis, database, "Worker")
    gate.close()
    assert "lost 3" in said
    assert "outcomes were not recorded because processes ended before they wrote them" in said
