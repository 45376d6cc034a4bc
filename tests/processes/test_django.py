"""Under Django, by WSGI with gunicorn and by ASGI with uvicorn."""

import pytest

from tests.eventually import eventually
from tests.postgres import Database
from tests.processes.programs import Worker, load, recorded, running

MODULE = "tests.processes.django_service"
SERVERS = {
    "wsgi": (2, [
        "gunicorn", "--workers", "2", "--preload", "--bind", "unix:service.sock", f"{MODULE}:wsgi_application",
    ]),
    "asgi": (1, ["uvicorn", "--uds", "service.sock", f"{MODULE}:asgi_application"]),
}  # fmt: skip
"""By its name: the number of workers, and the command."""


@pytest.mark.parametrize("server", SERVERS)
def test_it_decides_follows_a_stop_and_records(
    worker: Worker, database: Database, server: str
) -> None:
    load(database)
    workers, command = SERVERS[server]
    with running(worker, command, database) as django:
        django.wait_until_serving()
        django.wait_until_each_decides(workers)
        assert all(django.get("/record")["taken"] for _ in range(10))
        database.execute("UPDATE rollout_configuration SET emergency_stop = true")
        eventually(lambda: not any(django.get("/")["eligible"] for _ in range(10)))
        django.stop()

    assert recorded(database) == 10, django.text()
