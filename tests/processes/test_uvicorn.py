"""The client under uvicorn, which ends on SIGTERM without exit handlers."""

import signal

import pytest

from tests.postgres import Database
from tests.processes.programs import Worker, load, recorded, running

APPLICATION = "tests.processes.asgi_service:application"
SERVERS = {
    "one": ["uvicorn", "--uds", "service.sock", APPLICATION],
    "fastapi": ["uvicorn", "--uds", "service.sock", "tests.processes.fastapi_service:application"],
    "workers": ["uvicorn", "--uds", "service.sock", "--workers", "2", APPLICATION],
    "gunicorn": [
        "gunicorn", "--worker-class", "asgi", "--bind", "unix:service.sock", APPLICATION,
    ],
}  # fmt: skip


@pytest.mark.parametrize("server", SERVERS)
def test_the_client_is_ready_for_the_first_request_and_writes_last(
    worker: Worker, database: Database, server: str
) -> None:
    load(database)
    with running(worker, SERVERS[server], database) as program:
        program.wait_until_serving()
        answers = [program.get("/record") for _ in range(10)]
        assert answers == [{"eligible": True, "taken": True}] * 10
        program.stop(signal.SIGTERM)

    assert recorded(database) == 10, program.text()
