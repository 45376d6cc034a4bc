"""The environment that the programs run in: as an image of a worker has it, after `pip install rollout-client`."""

import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from tests.processes.programs import SERVICES, Worker
from tests.worker_environment import CLIENT, WorkerEnvironment, build_wheel

NEEDED = (
    "psycopg[binary]",
    "celery", "django", "fastapi", "gevent", "gunicorn[gevent]", "openfeature-sdk", "pyuwsgi", "rq", "uvicorn",
)  # fmt: skip


@pytest.fixture(scope="session")
def worker(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Worker:
    """One for the run: the first test that asks makes it."""
    folder = tmp_path_factory.getbasetemp()
    is_shared = hasattr(pytestconfig, "workerinput")
    folder = (folder.parent if is_shared else folder) / "worker"
    folder.mkdir(exist_ok=True)
    complete = folder / "complete"
    with FileLock(folder / "lock"):
        if not complete.exists():
            made = WorkerEnvironment.make(folder / "environment", *NEEDED)
            made.install(build_wheel(CLIENT, folder / "wheels"))
            services = folder / "services" / "tests" / "processes"
            services.mkdir(parents=True)
            for name in SERVICES:
                shutil.copy(Path(__file__).parent / name, services)
            complete.touch()
    return Worker(WorkerEnvironment(folder / "environment"), folder / "services")
