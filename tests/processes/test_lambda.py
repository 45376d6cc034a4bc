"""As AWS Lambda runs a handler: the process is frozen between two calls."""

import json
import signal
import subprocess

from tests.postgres import Database
from tests.processes.programs import REPOSITORY, Worker, load, recorded


def test_a_frozen_process_decides_and_records_at_each_call(
    worker: Worker, database: Database
) -> None:
    load(database)
    with subprocess.Popen(
        [worker.environment.python, "-m", "tests.processes.lambda_service"],
        cwd=worker.services,
        env=worker.variables(database),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        events, answers = process.stdin, process.stdout

        def call() -> dict[str, bool]:
            process.send_signal(signal.SIGCONT)
            events.write(json.dumps({"repository": REPOSITORY}) + "\n")
            events.flush()
            answer: dict[str, bool] = json.loads(answers.readline())
            process.send_signal(signal.SIGSTOP)
            return answer

        try:
            assert [call() for _ in range(3)] == [{"eligible": True, "written": True}] * 3
            assert recorded(database) == 3
            # While it is frozen, the server ends its connections, as a proxy does after some minutes.
            database.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'reconcile-client' AND datname = current_database()"
            )
            assert call()["written"]
            assert recorded(database) == 4
        finally:
            process.kill()
