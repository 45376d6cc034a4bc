"""The client under gunicorn with each kind of worker; the service is loaded before workers fork."""

import pytest

from tests.eventually import eventually
from tests.postgres import Database
from tests.processes.programs import Worker, load, recorded, running


@pytest.mark.parametrize("ready", ["", "yes"])
@pytest.mark.parametrize("kind", ["sync", "gthread", "gevent"])
def test_each_worker_follows_a_stop_and_records_until_its_end(
    worker: Worker, database: Database, kind: str, ready: str
) -> None:
    load(database)
    command = [
        "gunicorn", "--workers", "2", "--worker-class", kind, "--preload",
        "--bind", "unix:service.sock", "tests.processes.wsgi_service:service",
    ]  # fmt: skip
    with running(worker, command, database, {"READY_BEFORE_FORK": ready}) as gunicorn:
        gunicorn.wait_until_serving()
        gunicorn.wait_until_each_decides(2, "/decide")
        database.execute("UPDATE rollout_configuration SET emergency_stop = true")
        eventually(lambda: not any(gunicorn.get("/decide")["eligible"] for _ in range(10)))
        assert all(gunicorn.get("/decide")["failure"] is None for _ in range(10))

        taken = sum(gunicorn.get("/record")["taken"] is True for _ in range(10))
        assert gunicorn.stop() == 0, gunicorn.text()

    assert (taken, recorded(database)) == (10, 10), gunicorn.text()
