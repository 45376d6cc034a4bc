"""Starts and ends of jobs: what runs now, and the limit that all services keep together."""

import json
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import psycopg
import pytest

from rollout_client import Job, RolloutClient
from tests.builders import add_repositories
from tests.eventually import eventually
from tests.postgres import Database

SPILLING: list[dict[str, Any]] = [{"to": "github_actions", "spill": True}]
JOB = Job("capture", "reviews", 5)
WORKERS = 16


def add_feature(
    database: Database, limit: int | None, rules: list[dict[str, Any]] = SPILLING
) -> None:
    add_repositories(database, "acme/site")
    database.execute("SELECT categorize_all_repositories()")
    database.execute(
        "INSERT INTO rollout_configuration (feature_name, rollout_percentage, routing)"
        " VALUES ('capture', 100, %(rules)s::jsonb)",
        rules=json.dumps(rules),
    )
    database.execute(
        "INSERT INTO rollout_processor (name, cost, concurrency, as_of)"
        " VALUES ('github_actions', '{}', %(limit)s, '2026-11-01')",
        limit=limit,
    )


def start(connection: psycopg.Connection[Any], job_id: str | None = None) -> tuple[str, str]:
    row = connection.execute(
        "SELECT started.id::text, started.processor FROM repositories,"
        " LATERAL start_rollout_job('capture', repositories.id, 'reviews', 5,"
        " coalesce(%s, gen_random_uuid())) AS started",
        [job_id],
    ).fetchone()
    assert row is not None
    id_, processor = row
    return id_, processor


def running(database: Database) -> dict[str, int]:
    return {
        row["processor_type"]: row["jobs"]
        for row in database.rows(
            "SELECT processor_type, count(*) AS jobs FROM rollout_running_job GROUP BY 1"
        )
    }


def set_age(database: Database, age: str) -> None:
    database.execute(
        "UPDATE rollout_running_job SET started_at = now() - %(age)s::interval", age=age
    )


def test_a_start_takes_a_place_until_its_end(database: Database) -> None:
    add_feature(database, 1)
    with psycopg.connect(database.url, autocommit=True) as connection:
        first, processor = start(connection)
        assert processor == "github_actions"
        assert start(connection)[1] == "inngest"
        assert connection.execute("SELECT end_rollout_job(%s)", [first]).fetchone() == (True,)
        assert connection.execute("SELECT end_rollout_job(%s)", [first]).fetchone() == (False,)
        assert start(connection)[1] == "github_actions"


def test_a_start_without_an_end_counts_for_at_most_an_hour(database: Database) -> None:
    add_feature(database, 1)
    with psycopg.connect(database.url, autocommit=True) as connection:
        start(connection)
        set_age(database, "59 minutes")
        assert start(connection)[1] == "inngest"
        set_age(database, "61 minutes")
        assert start(connection)[1] == "github_actions"
        # That start has deleted the old ones.
        assert running(database) == {"github_actions": 1}


def test_a_clock_that_was_set_back_blocks_no_processor(database: Database) -> None:
    add_feature(database, 1)
    with psycopg.connect(database.url, autocommit=True) as connection:
        start(connection)
        set_age(database, "-5 hours")
        assert start(connection)[1] == "github_actions"


def test_a_start_that_is_sent_twice_is_one_start(database: Database) -> None:
    add_feature(database, 1)
    id_ = str(uuid.uuid4())
    with psycopg.connect(database.url, autocommit=True) as connection:
        assert start(connection, id_) == (id_, "github_actions")
        assert start(connection, id_) == (id_, "github_actions")
        assert running(database) == {"github_actions": 1}
        database.execute("UPDATE rollout_configuration SET emergency_stop = true")
        assert start(connection, id_) == (id_, "inngest")
        assert running(database) == {"inngest": 1}


def race(database: Database, work: Callable[[psycopg.Connection[Any], Random], None]) -> None:
    begin = threading.Barrier(WORKERS)

    def run(number: int) -> None:
        with psycopg.connect(database.url, autocommit=True) as connection:
            begin.wait(60)
            work(connection, Random(number))

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(run, range(WORKERS)))


def test_racing_starts_of_many_services_never_exceed_the_limit(database: Database) -> None:
    limit = 5
    add_feature(database, limit)
    lock = threading.Lock()
    held = {"github_actions": 0, "inngest": 0}
    most = dict(held)

    def work(connection: psycopg.Connection[Any], random: Random) -> None:
        mine: list[tuple[str, str]] = []
        for _ in range(40):
            if mine and random.random() < 0.5:
                id_, processor = mine.pop(random.randrange(len(mine)))
                # Before the end is written: its place is free afterwards only.
                with lock:
                    held[processor] -= 1
                connection.execute("SELECT end_rollout_job(%s)", [id_])
            else:
                id_, processor = start(connection)
                with lock:
                    held[processor] += 1
                    most[processor] = max(most[processor], held[processor])
                mine.append((id_, processor))

    race(database, work)
    assert most["github_actions"] == limit
    assert most["inngest"] > 0
    assert running(database) == held


def test_a_start_that_cannot_see_the_others_goes_to_the_fallback(database: Database) -> None:
    add_feature(database, 1)
    with psycopg.connect(database.url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("SELECT FROM repositories")
        with psycopg.connect(database.url, autocommit=True) as other:
            assert start(other)[1] == "github_actions"
        assert start(connection)[1] == "inngest"


def test_a_start_that_waits_too_long_goes_to_the_fallback(database: Database) -> None:
    add_feature(database, 5)
    with (
        psycopg.connect(database.url) as slow,
        psycopg.connect(database.url, autocommit=True) as other,
    ):
        assert start(slow)[1] == "github_actions"
        assert start(other)[1] == "inngest"


def test_a_stop_during_the_wait_of_a_start_counts(database: Database) -> None:
    add_feature(database, 5)
    with psycopg.connect(database.url) as slow, ThreadPoolExecutor(1) as pool:
        start(slow)

        def wait() -> str:
            with psycopg.connect(database.url, autocommit=True) as waiting:
                return start(waiting)[1]

        waiting = pool.submit(wait)
        eventually(
            lambda: bool(
                database.rows(
                    "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
                )
            )
        )
        database.execute("UPDATE rollout_configuration SET emergency_stop = true")
        slow.commit()
        assert waiting.result(60) == "inngest"


def test_starts_without_spill_do_not_wait_for_each_other(database: Database) -> None:
    add_feature(database, 1, [{"to": "github_actions"}])
    with psycopg.connect(database.url) as open_, psycopg.connect(database.url) as other:
        other.execute("SET lock_timeout = '1ms'")
        assert start(open_)[1] == start(other)[1] == "github_actions"


def test_a_client_records_starts_and_ends(database: Database) -> None:
    add_feature(database, None)
    with RolloutClient(database.url) as client:
        with client.job("acme/site", JOB):
            eventually(lambda: running(database) == {"github_actions": 1})
        eventually(lambda: running(database) == {})


def test_a_client_sees_the_running_jobs_of_other_services(database: Database) -> None:
    add_feature(database, 1)
    with (
        RolloutClient(database.url, poll_every=0.1) as client,
        psycopg.connect(database.url, autocommit=True) as connection,
    ):
        assert client.route("acme/site", JOB).processor == "github_actions"
        id_, _ = start(connection)
        eventually(lambda: client.route("acme/site", JOB).processor == "inngest")
        connection.execute("SELECT end_rollout_job(%s)", [id_])
        eventually(lambda: client.route("acme/site", JOB).processor == "github_actions")


def test_a_client_counts_its_own_jobs_once(database: Database) -> None:
    add_feature(database, 2)
    with RolloutClient(database.url, poll_every=0.1) as client, client.job("acme/site", JOB):
        eventually(lambda: running(database) == {"github_actions": 1})
        database.execute("UPDATE rollout_configuration SET routing_choices = '[]'")
        eventually(lambda: client.status().age is not None)
        assert client.route("acme/site", JOB).processor == "github_actions"
        with client.job("acme/site", JOB):
            assert client.route("acme/site", JOB).processor == "inngest"


def test_clients_exceed_the_limit_by_at_most_their_free_places(database: Database) -> None:
    """What a client may know: the jobs at its last read, and its own."""
    limit, number = 2, 4
    add_feature(database, limit)
    clients = [RolloutClient(database.url, poll_every=60) for _ in range(number)]
    jobs = [client.job("acme/site", JOB) for client in clients for _ in range(limit + 1)]
    try:
        for client in clients:
            assert client.wait_until_ready(60)
        processors = [job.__enter__().processor for job in jobs]
        assert processors.count("inngest") >= number
        assert processors.count("github_actions") <= number * limit
        for job in jobs:
            job.__exit__(None, None, None)
    finally:
        for client in clients:
            client.close()


def test_a_worker_without_the_right_records_outcomes_all_the_same(database: Database) -> None:
    add_feature(database, None)
    database.execute("ALTER FUNCTION end_rollout_job RENAME TO hidden")
    with RolloutClient(database.url) as client:
        with client.job("acme/site", JOB):
            pass
        assert client.flush(60)
    assert database.rows("SELECT sum(total_jobs) AS jobs FROM rollout_metrics") == [{"jobs": 1}]


def test_starts_of_unknown_features_and_processors_are_not_recorded(database: Database) -> None:
    add_feature(database, 1)
    database.execute(
        "SELECT record_rollout_starts("
        " ARRAY[gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), null],"
        " ARRAY['capture', 'nothing', 'capture', 'capture'],"
        " ARRAY['worker-17', 'inngest', 'inngest', 'inngest'],"
        " ARRAY['NaN', 0, -7, 0]::float8[])"
    )
    assert running(database) == {"inngest": 1}


@pytest.mark.parametrize(("age", "counts"), [("NaN", False), ("Infinity", False), ("-1", True)])
def test_an_age_that_cannot_be_counts_as_the_nearest(
    database: Database, age: str, counts: bool
) -> None:
    add_feature(database, 1)
    database.execute(
        "SELECT record_rollout_starts(ARRAY[gen_random_uuid()], ARRAY['capture'],"
        " ARRAY['github_actions'], ARRAY[%(age)s]::float8[])",
        age=age,
    )
    found = database.rows("SELECT running FROM rollout_load(ARRAY['github_actions'])")
    assert found == [{"running": int(counts)}]


def test_a_new_limit_counts_the_jobs_that_run_already(database: Database) -> None:
    add_feature(database, None)
    with psycopg.connect(database.url, autocommit=True) as connection:
        assert [start(connection)[1] for _ in range(3)] == ["github_actions"] * 3
        database.execute("UPDATE rollout_processor SET concurrency = 2")
        assert start(connection)[1] == "inngest"
        database.execute("UPDATE rollout_processor SET concurrency = 4")
        assert [start(connection)[1] for _ in range(2)] == ["github_actions", "inngest"]


def test_a_start_that_is_rolled_back_takes_no_place(database: Database) -> None:
    add_feature(database, 1)
    with psycopg.connect(database.url) as connection:
        assert start(connection)[1] == "github_actions"
        connection.rollback()
        assert start(connection)[1] == "github_actions"


def test_features_share_the_places_of_a_processor(database: Database) -> None:
    add_feature(database, 1)
    database.execute(
        "INSERT INTO rollout_configuration (feature_name, rollout_percentage, routing)"
        " SELECT 'other', 100, routing FROM rollout_configuration"
    )
    with psycopg.connect(database.url, autocommit=True) as connection:
        assert start(connection)[1] == "github_actions"
    found = database.value(
        "SELECT processor FROM repositories, LATERAL start_rollout_job('other', repositories.id)"
    )
    assert found == "inngest"
