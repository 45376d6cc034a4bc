"""The client under Celery: its worker processes end without exit handlers."""

from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.postgres import Database
from tests.processes.programs import Worker, load, recorded, running

TASKS = 6


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_each_outcome_is_written_although_its_process_ends_after_one_task(
    worker: Worker, database: Database, tmp_path: Path, pool: str
) -> None:
    load(database)
    broker = tmp_path / "broker"
    (broker / "control").mkdir(parents=True)
    environment = {"BROKER_FOLDER": str(broker), "INSTALLED": "yes"}
    send = (
        "from tests.processes.celery_service import application\n"
        f"for _ in range({TASKS}): application.send_task('work')"
    )
    sent = worker.run(database, "-c", send, more=environment)
    assert sent.returncode == 0, sent.stderr
    command = [
        "celery", "--app", "tests.processes.celery_service:application", "worker", "--pool", pool,
        "--concurrency", "2", "--max-tasks-per-child", "1", "--without-gossip",
        "--without-mingle", "--without-heartbeat", "--loglevel", "INFO",
    ]  # fmt: skip

    with running(worker, command, database, environment) as celery:
        eventually(lambda: celery.text().count("succeeded in") == TASKS)
        assert celery.stop() == 0, celery.text()

    assert recorded(database) == TASKS, celery.text()
    assert database.rows("SELECT DISTINCT processor_type FROM rollout_metrics") == [
        {"processor_type": "github_actions"}
    ]
