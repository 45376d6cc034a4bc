"""The client under rq: each job has a process that ends without exit handlers."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import PROJECT, Database
from tests.processes.programs import load, recorded
from tests.waiting import eventually

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


def work(redis: Path, database: Database, worker: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.processes.rq_worker", str(redis), worker],
        cwd=PROJECT,
        env={**os.environ, "DATABASE_URL": database.url},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


def test_each_outcome_is_written_before_the_process_of_its_job_ends(
    redis: Path, database: Database
) -> None:
    load(database)
    said = work(redis, database, "RolloutWorker")
    assert recorded(database) == 3, said
    assert "lost 0" in said


def test_outcomes_that_a_process_took_with_it_are_counted(redis: Path, database: Database) -> None:
    load(database)
    gate = database.connect()
    gate.execute("LOCK TABLE rollout_metrics")
    said = work(redis, database, "Worker")
    gate.close()
    assert "lost 3" in said
    assert "outcomes were not recorded because processes ended before they wrote them" in said
