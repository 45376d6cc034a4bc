"""Programs that run a service: started, queried and stopped as operators do."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psutil

from tests.eventually import DEADLINE_SECONDS, eventually
from tests.postgres import Database
from tests.worker_environment import WorkerEnvironment

REPOSITORY = "10000000-0000-4000-8000-000000000001"
SERVICES = (
    "asgi_service.py",
    "celery_service.py",
    "django_service.py",
    "fastapi_service.py",
    "lambda_service.py",
    "openfeature_service.py",
    "rq_worker.py",
    "wsgi_service.py",
)
"""The modules that programs import, as `tests.processes.…`."""


@dataclass(frozen=True)
class Worker:
    """What an image of a worker has: an environment with the client alone, and the services."""

    environment: WorkerEnvironment
    services: Path

    def variables(self, database: Database, more: Mapping[str, str] = {}) -> dict[str, str]:
        """The environment variables of a program."""
        return {
            **os.environ,
            "DATABASE_URL": database.url,
            "PYTHONPATH": str(self.services),
            **more,
        }

    def run(
        self, database: Database, *arguments: str, more: Mapping[str, str] = {}
    ) -> "subprocess.CompletedProcess[str]":
        """Run Python to its end."""
        return subprocess.run(
            [self.environment.python, *arguments],
            cwd=self.services,
            env=self.variables(database, more),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


def load(database: Database) -> None:
    database.execute(
        "INSERT INTO repositories (id, owner, name, full_name)"
        f" VALUES ('{REPOSITORY}', 'acme', 'site', 'acme/site');"
        "INSERT INTO rollout_configuration (feature_name, rollout_percentage) VALUES ('f', 100)"
    )


def recorded(database: Database) -> int:
    """Return the number of outcomes in the database."""
    return int(database.value("SELECT coalesce(sum(jobs), 0) FROM rollout_metrics_rollup"))


class _UnixConnection(HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("service", timeout=DEADLINE_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@dataclass(frozen=True)
class Program:
    """A running program, with its processes and its output."""

    process: "subprocess.Popen[bytes]"
    log: Path
    socket: Path

    def get(self, path: str) -> dict[str, Any]:
        """Query the service with a new connection each time, so that any worker may answer."""
        with closing(_UnixConnection(self.socket)) as connection:
            connection.request("GET", path, headers={"Connection": "close"})
            with closing(connection.getresponse()) as response:
                body = response.read()
        assert response.status == HTTPStatus.OK, self.text()
        answer: dict[str, Any] = json.loads(body)
        return answer

    def wait_until_serving(self) -> None:
        def is_serving() -> bool:
            assert self.process.poll() is None, self.text()
            try:
                self.get("/")
            except OSError:
                return False
            return True

        eventually(is_serving)

    def wait_until_each_decides(self, workers: int, path: str = "/") -> None:
        """Wait until this number of processes have answered with a yes.

        A worker that has not served yet may lose the signal that ends it.
        """
        decided: set[int] = set()

        def have_all_decided() -> bool:
            answer = self.get(path)
            if answer["eligible"]:
                decided.add(answer["pid"])
            return len(decided) == workers

        eventually(have_all_decided)

    def text(self) -> str:
        return self.log.read_text("utf-8", "replace")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send it the signal to end, and wait for its end."""
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_SECONDS)

    def close(self) -> None:
        if self.process.poll() is None:
            parent = psutil.Process(self.process.pid)
            for each in [*parent.children(recursive=True), parent]:
                with suppress(psutil.NoSuchProcess):
                    each.kill()
            self.process.wait()


@contextmanager
def running(
    worker: Worker,
    command: Sequence[str],
    database: Database,
    environment: Mapping[str, str] = {},
) -> Iterator[Program]:
    """Run a program of a worker, such as `gunicorn`; it listens on `service.sock` in its folder."""
    # The path of a socket has at most a hundred characters.
    folder = Path(tempfile.mkdtemp(prefix="service-"))
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(worker.environment.folder / "bin" / command[0]), *command[1:]],
            cwd=folder,
            env=worker.variables(database, {"HOME": str(folder), **environment}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    program = Program(process, log, folder / "service.sock")
    try:
        yield program
    finally:
        program.close()
        shutil.rmtree(folder)
