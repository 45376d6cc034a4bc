"""Recording jobs: each counts once, also with concurrent reports; old ones are deleted."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from reconciler.database import schema
from tests.builders import RepositoryRow, add_repositories
from tests.database import hosts
from tests.postgres import Database

FEATURE = "capture"
TOOLS = "6f0c1c1e-3c0e-4a55-9b3e-0e5f7a1f2d11"
SITE = "0b8a1f0d-6f8e-4c34-9a55-019343a72c11"


@pytest.fixture
def rollout(database: Database) -> Database:
    """A database with one feature and two repositories."""
    add_repositories(
        database, RepositoryRow("acme/tools", id=TOOLS), RepositoryRow("acme/site", id=SITE)
    )
    database.execute(f"""
        INSERT INTO rollout_configuration (feature_name, rollout_percentage)
        VALUES ('{FEATURE}', 50);
    """)
    return database


def record(
    database: Database,
    *,
    feature: str | None = FEATURE,
    repository: str | None = TOOLS,
    processor: str | None = "inngest",
    succeeded: bool | None = True,
    seconds: float | Decimal | None = None,
    error: str | None = None,
) -> None:
    database.execute(
        "SELECT record_rollout_job(%(feature)s, %(repository)s::uuid, %(processor)s, %(succeeded)s,"
        " %(seconds)s, %(error)s)",
        feature=feature,
        repository=repository,
        processor=processor,
        succeeded=succeeded,
        seconds=seconds,
        error=error,
    )


def totals(database: Database) -> dict[str, Any]:
    """Sum all windows, and recorded jobs with them: a test may run past the end of a window."""
    (row,) = database.rows("""
        SELECT sum(success_count)::int AS successes, sum(error_count)::int AS errors,
            sum(total_jobs)::int AS jobs, sum(timed_jobs)::int AS timed,
            sum(average_processing_time * timed_jobs) / nullif(sum(timed_jobs), 0) AS mean
        FROM rollout_configuration
        CROSS JOIN rollout_metrics_since(rollout_configuration.id, now() - interval '1 hour')
    """)
    return row


def summed(database: Database) -> tuple[int, int]:
    """The jobs and the errors of the kept sums."""
    (row,) = database.rows("""
        SELECT coalesce(sum(jobs), 0)::int AS jobs, coalesce(sum(errors), 0)::int AS errors
        FROM rollout_metrics_rollup
    """)
    return row["jobs"], row["errors"]


def test_a_job_is_one_row_of_its_five_minutes(rollout: Database) -> None:
    record(rollout, seconds=1.5)

    (row,) = rollout.rows("SELECT * FROM rollout_metrics")
    assert row["repository_id"].hex == TOOLS.replace("-", "")
    assert row["processor_type"] == "inngest"
    assert (row["success_count"], row["error_count"], row["total_jobs"]) == (1, 0, 1)
    assert row["average_processing_time"] == Decimal("1.5")
    assert (row["last_error_message"], row["last_error_at"]) == (None, None)
    begin, end = row["metrics_window_start"], row["metrics_window_end"]
    assert (begin.minute % 5, begin.second, begin.microsecond) == (0, 0, 0)
    assert (end - begin).total_seconds() == 300
    assert begin <= row["updated_at"] < end


def test_the_mean_is_of_the_jobs_with_a_duration(rollout: Database) -> None:
    for seconds in (None, 1, None, Decimal("2.5"), 4.0, None):
        record(rollout, seconds=seconds)

    assert totals(rollout) == {
        "successes": 6,
        "errors": 0,
        "jobs": 6,
        "timed": 3,
        "mean": Decimal("2.5"),
    }


def test_the_first_duration_after_jobs_without_one_is_the_mean(rollout: Database) -> None:
    record(rollout)
    assert totals(rollout)["mean"] is None
    record(rollout, seconds=7)
    assert totals(rollout)["mean"] == 7


def test_sixteen_connections_lose_no_job_and_keep_the_mean(rollout: Database) -> None:
    connections, each = 16, 50

    def work(worker: int) -> None:
        with rollout.connect(autocommit=True) as connection:
            for job in range(each):
                connection.execute(
                    "SELECT record_rollout_job(%s, %s, 'inngest', %s, %s, 'it broke')",
                    (FEATURE, TOOLS, job % 5 != 0, worker + job if job % 2 else None),
                )

    with ThreadPoolExecutor(connections) as pool:
        list(pool.map(work, range(connections)))

    told = [worker + job for worker in range(connections) for job in range(each) if job % 2]
    rollout.value("SELECT merge_rollout_rollup(1000)")
    (found,) = rollout.rows(
        "SELECT sum(total_jobs)::int AS jobs, sum(error_count)::int AS errors, sum(timed_jobs)::int AS timed,"
        " sum(success_count)::int AS successes,"
        " sum(average_processing_time * timed_jobs) / sum(timed_jobs) AS mean FROM rollout_metrics"
    )
    assert found == totals(rollout)
    assert (found["jobs"], found["errors"], found["timed"]) == (800, 160, len(told))
    assert found["successes"] == 640
    assert found["mean"] == pytest.approx(Decimal(sum(told)) / len(told), abs=Decimal("1e-9"))


@pytest.mark.parametrize(("end", "jobs"), [("COMMIT", 2), ("ROLLBACK", 1)])
def test_a_job_does_not_wait_for_a_transaction_with_the_first_one(
    rollout: Database, end: str, jobs: int
) -> None:
    with ExitStack() as stack:
        first, second = (stack.enter_context(rollout.connect()) for _ in range(2))
        # A session has a row of its own by its process.
        while first.info.backend_pid % 16 == second.info.backend_pid % 16:
            second = stack.enter_context(rollout.connect())
        first.execute(f"SELECT record_rollout_job('{FEATURE}', '{TOOLS}', 'inngest', true)")
        second.execute("SET lock_timeout = '1ms'")
        second.execute(f"SELECT record_rollout_job('{FEATURE}', '{TOOLS}', 'inngest', false)")
        second.commit()
        first.execute(end.encode())

    found = totals(rollout)
    assert (found["jobs"], found["successes"], found["errors"]) == (jobs, jobs - 1, 1)
    assert summed(rollout) == (jobs, 1)


def test_a_job_does_not_wait_for_a_held_row_of_the_same_number(rollout: Database) -> None:
    record(rollout)
    with rollout.connect() as holder, rollout.connect() as second:
        # The only row has the number of the second session.
        rollout.execute(f"UPDATE rollout_metrics SET slot = {second.info.backend_pid % 16}")
        holder.execute("SELECT FROM rollout_metrics FOR UPDATE")
        second.execute("SET lock_timeout = '1ms'")
        second.execute(f"SELECT record_rollout_job('{FEATURE}', '{TOOLS}', 'inngest', false)")
        second.commit()

    found = totals(rollout)
    assert (found["jobs"], found["successes"], found["errors"]) == (2, 1, 1)
    assert summed(rollout) == (2, 1)


def test_sessions_that_take_turns_share_one_row(rollout: Database) -> None:
    for _ in range(5):
        with rollout.connect(autocommit=True) as connection:
            connection.execute(f"SELECT record_rollout_job('{FEATURE}', '{TOOLS}', 'x', true)")

    windows = rollout.rows("SELECT DISTINCT metrics_window_start FROM rollout_metrics")
    assert rollout.value("SELECT count(*) FROM rollout_metrics") == len(windows)


def test_repositories_and_processors_have_rows_of_their_own(rollout: Database) -> None:
    record(rollout)
    record(rollout, processor="github_actions")
    record(rollout, repository=SITE)

    assert rollout.value("SELECT count(*) FROM rollout_metrics") == 3


def test_the_last_error_stays_when_jobs_succeed_again(rollout: Database) -> None:
    record(rollout, succeeded=False, error="first")
    record(rollout, succeeded=False, error="second")
    record(rollout, error="not an error")

    (row,) = rollout.rows("SELECT last_error_message, last_error_at FROM rollout_metrics")
    assert row["last_error_message"] == "second"
    assert row["last_error_at"] is not None


def test_an_error_without_a_message_keeps_no_earlier_message(rollout: Database) -> None:
    record(rollout, succeeded=False, error="first")
    record(rollout, succeeded=False)

    assert rollout.value("SELECT last_error_message FROM rollout_metrics") is None


def test_an_error_message_is_bounded_and_harmless(rollout: Database) -> None:
    hostile = "\x1b[31mred\x07\x9b\r\nline\ttab'; DROP TABLE rollout_metrics; -- é" + "x" * 5000
    record(rollout, succeeded=False, error=hostile)

    kept = rollout.value("SELECT last_error_message FROM rollout_metrics")
    assert len(kept) == 1000
    assert kept.startswith(" [31mred   \nline\ttab'; DROP TABLE rollout_metrics; -- é")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"feature": "captur"}, "no feature is called 'captur'"),
        ({"feature": None}, "no feature is called null"),
        (
            {"repository": "00000000-0000-0000-0000-000000000000"},
            "no repository has the id 00000000-",
        ),
        ({"repository": None}, "no repository has the id null"),
        ({"processor": ""}, "processor_type has to have 1 to 50 characters"),
        ({"processor": None}, "processor_type has to have 1 to 50 characters"),
        ({"processor": "x" * 51}, "processor_type has to have 1 to 50 characters"),
        ({"succeeded": None}, "succeeded is null: say whether the job did"),
        ({"seconds": -1}, "processing_seconds is -1: it has to be a time from 0"),
        ({"seconds": float("nan")}, "processing_seconds is NaN: it has to be a time from 0"),
        ({"seconds": float("inf")}, "processing_seconds is Infinity: it has to be a time from 0"),
    ],
)
def test_an_invalid_job_is_refused(rollout: Database, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(psycopg.Error) as refused:
        record(rollout, **wrong)

    assert message in str(refused.value)
    assert rollout.value("SELECT count(*) FROM rollout_metrics") == 0


def test_a_resume_cuts_the_window_in_two(rollout: Database) -> None:
    record(rollout, succeeded=False)
    rollout.execute(
        "INSERT INTO rollout_history (rollout_config_id, action)"
        " SELECT id, 'resumed' FROM rollout_configuration"
    )
    record(rollout)
    record(rollout)

    resumed_at = rollout.value("SELECT created_at FROM rollout_history")
    rows = rollout.rows(
        "SELECT metrics_window_start AS begin, metrics_window_end AS end, total_jobs, error_count"
        " FROM rollout_metrics ORDER BY 1"
    )
    # A multiple of five minutes may also begin in between.
    before = [row for row in rows if row["begin"] < resumed_at]
    after = [row for row in rows if row["begin"] >= resumed_at]
    assert [(row["total_jobs"], row["error_count"]) for row in before] == [(1, 1)]
    assert sum(row["total_jobs"] for row in after) == 2
    assert sum(row["error_count"] for row in after) == 0
    assert all(row["begin"] < row["end"] for row in rows)


def test_a_change_that_moves_no_repository_cuts_no_window(rollout: Database) -> None:
    rollout.execute("""
        INSERT INTO rollout_history (rollout_config_id, action)
        SELECT id, 'updated' FROM rollout_configuration;
        INSERT INTO rollout_history (action) VALUES ('resumed');
    """)
    assert rollout.value("SELECT metrics_cut_at FROM rollout_configuration") is None


def test_a_future_time_in_the_history_opens_no_future_window(rollout: Database) -> None:
    rollout.execute(
        "INSERT INTO rollout_history (rollout_config_id, action, created_at)"
        " SELECT id, 'resumed', now() + interval '1 day' FROM rollout_configuration"
    )
    record(rollout)

    assert rollout.value("SELECT metrics_window_start <= now() FROM rollout_metrics") is True


def test_a_job_in_a_long_transaction_counts_at_its_report(
    rollout: Database,
) -> None:
    with rollout.connect() as connection:
        begun = connection.execute("SELECT now()").fetchone()
        connection.execute(f"SELECT record_rollout_job('{FEATURE}', '{TOOLS}', 'inngest', false)")

    assert begun is not None
    assert rollout.value("SELECT last_error_at FROM rollout_metrics") > begun[0]


def add_window(database: Database, *, ended: str) -> None:
    database.execute(f"""
        INSERT INTO rollout_metrics (rollout_config_id, repository_id, processor_type, total_jobs,
            metrics_window_start, metrics_window_end)
        SELECT id, '{TOOLS}', 'inngest', 1,
            now() - interval '{ended}' - interval '5 minutes', now() - interval '{ended}'
        FROM rollout_configuration
    """)


def test_pruning_deletes_windows_older_than_the_time_to_keep(rollout: Database) -> None:
    add_window(rollout, ended="91 days")
    add_window(rollout, ended="89 days")
    add_window(rollout, ended="1 minute")

    assert rollout.value("SELECT prune_rollout_metrics(interval '90 days')") == 1
    assert rollout.value("SELECT prune_rollout_metrics(interval '90 days')") == 0
    assert rollout.value("SELECT count(*) FROM rollout_metrics") == 2


def test_pruning_keeps_windows_that_a_verdict_uses(rollout: Database) -> None:
    add_window(rollout, ended="23 hours")
    add_window(rollout, ended="25 hours")

    assert rollout.value("SELECT prune_rollout_metrics(interval '0')") == 1
    assert rollout.value("SELECT prune_rollout_metrics(interval '1 hour')") == 0


@pytest.mark.parametrize("keep", ["interval '-1 day'", "NULL"])
def test_pruning_refuses_an_invalid_time_to_keep(rollout: Database, keep: str) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="keep has to be a time from 0"):
        rollout.value(f"SELECT prune_rollout_metrics({keep})")


def test_jobs_of_an_adopted_database_count_in_its_mean(empty_database: Database) -> None:
    hosts.make_host(empty_database)
    schema.upgrade(empty_database.engine)

    assert (
        empty_database.value("""
        SELECT bool_and(timed_jobs = CASE WHEN average_processing_time IS NULL THEN 0
            ELSE total_jobs END) FROM rollout_metrics
    """)
        is True
    )


def test_in_an_adopted_database_the_mean_is_as_exact(empty_database: Database) -> None:
    hosts.make_host(empty_database)
    empty_database.execute(
        "DELETE FROM rollout_metrics;"
        "ALTER TABLE rollout_metrics ALTER COLUMN average_processing_time TYPE numeric(5, 2)"
    )
    schema.upgrade(empty_database.engine)

    for seconds in (Decimal("0.001"), Decimal("0.002"), Decimal("0.003"), Decimal(1000000)):
        record(
            empty_database,
            feature="hybrid_progressive_capture",
            repository=hosts.TOOLS,
            seconds=seconds,
        )

    assert totals(empty_database)["mean"] == Decimal("250000.0015")
