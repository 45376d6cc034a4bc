"""Recorded jobs: inserted while other sessions record, counted at once, and put into `rollout_metrics` by a merge."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from reconciler.database import schema
from reconciler.database.health import read_health
from reconciler.database.metrics import read_windows
from reconciler.database.removal import remove
from tests.builders import RepositoryRow, add_repositories
from tests.database import hosts
from tests.postgres import Database

FEATURE = "capture"
TOOLS = "6f0c1c1e-3c0e-4a55-9b3e-0e5f7a1f2d11"
FAILED = (
    f"SELECT record_rollout_job('{FEATURE}', '{TOOLS}', 'github_actions', false, 2, 'it broke')"
)
MERGE = "SELECT merge_rollout_rollup(1000)"


@pytest.fixture
def rollout(database: Database) -> Database:
    """A database with one feature and one repository."""
    add_repositories(database, RepositoryRow("acme/tools", id=TOOLS))
    database.execute(f"INSERT INTO rollout_configuration (feature_name) VALUES ('{FEATURE}')")
    return database


@contextmanager
def busy(database: Database) -> Iterator[None]:
    """Let another transaction record jobs: the calls of others only insert."""
    with database.connect() as other:
        other.execute("SELECT FROM rollout_metrics_turn WHERE number < 3 FOR UPDATE")
        yield


def insert_jobs(database: Database, jobs: int) -> None:
    with busy(database), database.connect(autocommit=True) as worker:
        worker.execute("SET lock_timeout = '1ms'")
        for _ in range(jobs):
            worker.execute(FAILED)


def in_table(database: Database) -> tuple[int, int]:
    """The jobs and errors that a service's own statement finds."""
    (row,) = database.rows(
        "SELECT coalesce(sum(total_jobs), 0)::int AS jobs, coalesce(sum(error_count), 0)::int AS errors"
        " FROM rollout_metrics"
    )
    return row["jobs"], row["errors"]


def in_sums(database: Database) -> tuple[int, int]:
    (row,) = database.rows(
        "SELECT coalesce(sum(jobs), 0)::int AS jobs, coalesce(sum(errors), 0)::int AS errors"
        " FROM rollout_metrics_rollup"
    )
    return row["jobs"], row["errors"]


def test_inserted_jobs_count_at_once_and_a_merge_puts_them_into_the_table(
    rollout: Database,
) -> None:
    insert_jobs(rollout, 3)

    assert in_table(rollout) == (0, 0)
    for _ in range(2):
        with rollout.engine.connect() as connection:
            metrics = read_health(connection, FEATURE).metrics
            windows = read_windows(connection, FEATURE, since=None, limit=5)
        assert metrics is not None
        assert (metrics.total.jobs, metrics.total.errors) == (3, 3)
        assert sum(window.jobs for window in windows) == 3
        assert {window.mean_seconds for window in windows} == {2}
        assert {window.last_error for window in windows} == {"it broke"}
        rollout.value(MERGE)
    assert in_table(rollout) == in_sums(rollout) == (3, 3)


def test_one_session_finds_each_job_in_the_table_at_once(rollout: Database) -> None:
    with rollout.connect(autocommit=True) as worker:
        for jobs in range(1, 4):
            worker.execute(FAILED)
            assert in_table(rollout) == (jobs, jobs)


def test_the_first_call_after_a_busy_second_merges(rollout: Database) -> None:
    insert_jobs(rollout, 3)
    rollout.execute(
        "UPDATE rollout_metrics_turn SET taken_at = now() - interval '1 minute' WHERE number = 1"
    )

    rollout.execute(FAILED)

    assert in_table(rollout) == in_sums(rollout) == (4, 4)
    turn = "SELECT isfinite(taken_at) FROM rollout_metrics_turn WHERE number = 1"
    assert rollout.value(turn) is False


@pytest.mark.parametrize(("end", "jobs"), [("COMMIT", 5), ("ROLLBACK", 5)])
def test_a_merge_beside_a_merge_takes_other_jobs_and_waits_for_none(
    rollout: Database, end: str, jobs: int
) -> None:
    insert_jobs(rollout, 2)
    with rollout.connect() as first, rollout.connect(autocommit=True) as second:
        first.execute(MERGE)
        insert_jobs(rollout, 3)
        second.execute("SET lock_timeout = '1ms'")
        second.execute(MERGE)
        assert in_table(rollout) == (3, 3)
        first.execute(end.encode())

    rollout.value(MERGE)
    assert in_table(rollout) == in_sums(rollout) == (jobs, jobs)


def test_a_killed_merge_leaves_each_job_once(rollout: Database) -> None:
    insert_jobs(rollout, 4)
    program = (
        "import psycopg, sys\n"
        "with psycopg.connect(sys.argv[1]) as connection:\n"
        f"    connection.execute('{MERGE}')\n"
        "    print('merged', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, rollout.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "merged\n"
        process.kill()

    assert in_sums(rollout) == (4, 4)
    # The server ends the killed session's transaction in its own time: this waits for it.
    rollout.execute("SELECT FROM rollout_metrics_turn FOR UPDATE")
    rollout.value(MERGE)
    assert in_table(rollout) == in_sums(rollout) == (4, 4)


def test_jobs_of_a_row_that_another_program_holds_wait_for_the_next_merge(
    rollout: Database,
) -> None:
    insert_jobs(rollout, 1)
    rollout.value(MERGE)
    insert_jobs(rollout, 2)
    with rollout.connect() as holder, rollout.connect(autocommit=True) as merger:
        holder.execute("SELECT FROM rollout_metrics FOR UPDATE")
        merger.execute("SET lock_timeout = '1ms'")
        merger.execute(MERGE)
        assert in_sums(rollout) == (3, 3)

    rollout.value(MERGE)
    assert in_table(rollout) == in_sums(rollout) == (3, 3)


@pytest.mark.parametrize("gone", ["repositories", "rollout_configuration"])
def test_jobs_of_what_is_gone_go_and_stop_no_merge(rollout: Database, gone: str) -> None:
    insert_jobs(rollout, 2)
    rollout.execute(f"DELETE FROM {gone}")

    rollout.value(MERGE)

    assert in_table(rollout) == in_sums(rollout) == (0, 0)


def test_a_change_of_category_within_a_window_leaves_no_sum_behind(rollout: Database) -> None:
    insert_jobs(rollout, 1)
    rollout.value(MERGE)
    rollout.execute(
        f"INSERT INTO repository_categories (repository_id, category) VALUES ('{TOOLS}', 'large')"
        " ON CONFLICT (repository_id) DO UPDATE SET category = 'large'"
    )
    insert_jobs(rollout, 1)
    rollout.value(MERGE)
    rollout.execute("DELETE FROM rollout_metrics")
    rollout.value(MERGE)

    left = "SELECT category, sum(jobs) FROM rollout_metrics_rollup GROUP BY 1 HAVING sum(jobs) <> 0"
    assert rollout.rows(left) == []


def test_a_batch_beside_others_inserts_its_jobs_and_waits_for_none(rollout: Database) -> None:
    with busy(rollout), rollout.connect(autocommit=True) as worker:
        worker.execute("SET lock_timeout = '1ms'")
        worker.execute(
            f"SELECT record_rollout_jobs('{FEATURE}', ARRAY['{TOOLS}', '{TOOLS}']::uuid[],"
            " ARRAY['inngest', 'other'], ARRAY[true, false])"
        )

    assert in_sums(rollout) == (2, 1)
    rollout.value(MERGE)
    assert in_table(rollout) == (2, 1)


def test_sixteen_sessions_merges_and_deletions_lose_no_job(rollout: Database) -> None:
    def work(worker: int) -> None:
        with rollout.connect(autocommit=True) as connection:
            for job in range(25):
                connection.execute(FAILED)
                if job % 5 == 0 and worker < 4:
                    connection.execute(MERGE)
                    connection.execute("SELECT prune_rollout_metrics(interval '1 day')")

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(16)))
    rollout.value(MERGE)

    assert in_table(rollout) == in_sums(rollout) == (400, 400)


def test_inserted_jobs_are_in_the_table_after_a_removal(empty_database: Database) -> None:
    hosts.make_host(empty_database)
    schema.upgrade(empty_database.engine)
    before = in_table(empty_database)[0]
    with busy(empty_database), empty_database.connect(autocommit=True) as worker:
        worker.execute(
            f"SELECT record_rollout_job('hybrid_progressive_capture', '{hosts.TOOLS}', 'inngest', true)"
        )

    remove(empty_database.engine)

    assert in_table(empty_database)[0] == before + 1
