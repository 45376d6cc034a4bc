"""The client under uWSGI, which forks its workers without Python's knowledge."""

import signal

import pytest

from tests.eventually import eventually
from tests.postgres import Database
from tests.processes.programs import Worker, load, recorded, running

UWSGI = [
    "uwsgi", "--master", "--processes", "2", "--enable-threads", "--need-app",
    "--hook-master-start", "unix_signal:15 gracefully_kill_them_all",
    "--http-socket", "service.sock", "--module", "tests.processes.wsgi_service:application",
]  # fmt: skip


@pytest.mark.parametrize("ready", ["", "yes"])
def test_each_worker_follows_a_stop_and_records(
    worker: Worker, database: Database, ready: str
) -> None:
    load(database)
    with running(worker, UWSGI, database, {"READY_BEFORE_FORK": ready}) as uwsgi:
        uwsgi.wait_until_serving()
        uwsgi.wait_until_each_decides(2, "/decide")
        database.execute("UPDATE rollout_configuration SET emergency_stop = true")
        eventually(lambda: not any(uwsgi.get("/decide")["eligible"] for _ in range(10)))
        assert all(uwsgi.get("/decide")["failure"] is None for _ in range(10))

        taken = sum(uwsgi.get("/record")["taken"] is True for _ in range(10))
        eventually(lambda: recorded(database) == taken)
        uwsgi.get("/record")
        assert uwsgi.stop(signal.SIGTERM) == 0, uwsgi.text()
        assert "without enable-threads" not in uwsgi.text()
    assert recorded(database) == 11


def test_without_threads_the_log_has_the_line_to_write(worker: Worker, database: Database) -> None:
    load(database)
    command = [each for each in UWSGI if each != "--enable-threads"]
    with running(worker, command, database) as uwsgi:
        uwsgi.wait_until_serving()
        uwsgi.get("/decide")
        eventually(lambda: "add enable-threads = true" in uwsgi.text())
