"""Under Django, by WSGI with gunicorn and by ASGI with uvicorn."""

import pytest

from tests.eventually import eventually
from tests.postgres import Database
from tests.processes.programs import Worker, load, recorded, running

MODULE = "tests.processes.django_service"
SERVERS = {
    "wsgi": [
        "gunicorn", "--workers", "2", "--preload", "--bind", "unix:service.sock", f"{MODULE}:wsgi_application",
    ],
    "asgi": ["uvicorn", "--uds", "service.sock", f"{MODULE}:asgi_application"],
}  # fmt: skip


@pytest.mark.parametrize("server", SERVERS)
def test_it_decides_follows_a_stop_and_records(
    worker: Worker, database: Database, server: str
) -> None:
    load(database)
    with running(worker, SERVERS[server], database) as django:
        django.wait_until_serving()
        assert django.get("/")["eligible"] is True
        assert all(django.get("/record")["taken"] for _ in range(10))
        database.execute("UPDATE rollout_configuration SET emergency_stop = true")
        eventually(lambda: not any(django.get("/")["eligible"] for _ in range(10)))
        django.stop()

    assert recorded(database) == 10, django.text()
