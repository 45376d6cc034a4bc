"""The sums of jobs: always those of the rows of metrics, after each change, with merges beside it."""

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

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
    """A feature and two repositories."""
    add_repositories(
        database, RepositoryRow("acme/tools", id=TOOLS), RepositoryRow("acme/site", id=SITE)
    )
    database.execute(f"INSERT INTO rollout_configuration (feature_name) VALUES ('{FEATURE}')")
    return database


def add(database: Database, jobs: int, errors: int = 0, *, ago: str = "10 minutes") -> None:
    """Write a row of five minutes that began so long ago."""
    database.execute(
        f"""
        INSERT INTO rollout_metrics (rollout_config_id, repository_id, processor_type, total_jobs,
            error_count, metrics_window_start, metrics_window_end)
        SELECT id, '{TOOLS}', 'inngest', {jobs}, {errors}, now() - interval '{ago}',
            now() - interval '{ago}' + interval '5 minutes'
        FROM rollout_configuration
        """
    )


def sums(database: Database) -> tuple[int, int]:
    """The jobs and errors of the sums, which are those of the rows."""
    (kept,) = database.rows(
        "SELECT coalesce(sum(jobs), 0)::int AS jobs, coalesce(sum(errors), 0)::int AS errors"
        " FROM rollout_metrics_rollup"
    )
    (rows,) = database.rows(
        "SELECT coalesce(sum(total_jobs), 0)::int AS jobs, coalesce(sum(error_count), 0)::int AS errors"
        " FROM rollout_metrics"
    )
    assert kept == rows
    return kept["jobs"], kept["errors"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("UPDATE rollout_metrics SET total_jobs = total_jobs + 3, error_count = 2", (26, 4)),
        ("UPDATE rollout_metrics SET total_jobs = 4, error_count = 0", (8, 0)),
        ("UPDATE rollout_metrics SET processor_type = 'another'", (20, 2)),
        (
            "UPDATE rollout_metrics SET metrics_window_start = metrics_window_start - interval '1 hour'",
            (20, 2),
        ),
        ("DELETE FROM rollout_metrics WHERE error_count > 1", (10, 0)),
        ("DELETE FROM rollout_metrics", (0, 0)),
        ("TRUNCATE rollout_metrics", (0, 0)),
        (f"DELETE FROM repositories WHERE id = '{TOOLS}'", (0, 0)),
    ],
)
@pytest.mark.parametrize("merged", [False, True])
def test_a_change_of_rows_changes_their_sums(
    rollout: Database, change: str, expected: tuple[int, int], merged: bool
) -> None:
    add(rollout, 10, 2)
    add(rollout, 10, 0, ago="40 minutes")
    if merged:
        rollout.value("SELECT merge_rollout_rollup(100)")

    rollout.execute(change)

    assert sums(rollout) == expected
    rollout.value("SELECT merge_rollout_rollup(100)")
    assert sums(rollout) == expected


def test_sums_of_deleted_rows_go_with_a_merge(rollout: Database) -> None:
    add(rollout, 10, 2)
    rollout.value("SELECT merge_rollout_rollup(100)")
    rollout.execute("DELETE FROM rollout_metrics")

    rollout.value("SELECT merge_rollout_rollup(100)")

    assert rollout.value("SELECT count(*) FROM rollout_metrics_rollup") == 0


def test_recorders_and_merges_at_once_lose_no_job(rollout: Database) -> None:
    def work(worker: int) -> None:
        with rollout.connect(autocommit=True) as connection:
            for job in range(40):
                connection.execute(
                    "SELECT record_rollout_job(%s, %s, 'inngest', %s, 1.5)",
                    (FEATURE, TOOLS if worker % 2 else SITE, job % 4 != 0),
                )
                if worker == 0:
                    connection.execute("SELECT merge_rollout_rollup(50)")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    rollout.value("SELECT merge_rollout_rollup(1000)")

    assert sums(rollout) == (320, 80)


def test_a_killed_recorder_leaves_no_half_of_a_job(rollout: Database) -> None:
    program = (
        "import psycopg, sys\n"
        "with psycopg.connect(sys.argv[1]) as connection:\n"
        f"    connection.execute(\"SELECT record_rollout_job('{FEATURE}', '{TOOLS}', 'x', false)\")\n"
        "    print('recorded', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, rollout.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "recorded\n"
        process.send_signal(signal.SIGKILL)

    rollout.execute(f"SELECT record_rollout_job('{FEATURE}', '{TOOLS}', 'x', true)")
    assert sums(rollout) == (1, 0)


def test_deleting_old_rows_beside_a_recorder_takes_old_rows_only(rollout: Database) -> None:
    for _ in range(5):
        add(rollout, 1, ago="3 days")
    with rollout.connect() as recorder:
        recorder.execute(f"SELECT record_rollout_job('{FEATURE}', '{TOOLS}', 'x', true)")
        assert rollout.value("SELECT prune_rollout_metrics_batch('2 days', 3)") == 3
        assert rollout.value("SELECT prune_rollout_metrics_batch('2 days', 3)") == 2
        assert rollout.value("SELECT prune_rollout_metrics_batch('2 days', 3)") == 0
        recorder.commit()

    assert sums(rollout) == (1, 0)


def test_a_batch_counts_each_job_as_a_call_of_its_own(rollout: Database) -> None:
    recorded = rollout.value(
        """
        SELECT record_rollout_jobs(
            'capture', %(ids)s::uuid[], ARRAY['a', 'a', 'b', 'a'], ARRAY[true, false, true, false],
            ARRAY[1.5, 3, NULL, 4.5], ARRAY[NULL, 'first', NULL, 'last'],
            ARRAY['pull_requests', 'pull_requests', NULL, 'pull_requests'], ARRAY[10, 7, NULL, 11]
        )
        """,
        ids=[TOOLS, TOOLS, SITE, TOOLS],
    )

    assert recorded == 4
    assert sums(rollout) == (4, 2)
    rows = rollout.rows("""
        SELECT processor_type, job_kind, size_class, total_jobs, error_count, timed_jobs,
            average_processing_time::float AS mean, last_error_message
        FROM rollout_metrics ORDER BY processor_type, size_class
    """)
    assert [tuple(row.values()) for row in rows] == [
        ("a", "pull_requests", 1, 2, 1, 2, 2.25, "first"),
        ("a", "pull_requests", 2, 1, 1, 1, 4.5, "last"),
        ("b", "", 0, 1, 0, 0, None, None),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("ARRAY['a'], ARRAY[true, true]", "the arrays have different lengths"),
        ("ARRAY['a', ''], ARRAY[true, true]", "job 2: processor_type has to have"),
        ("ARRAY['a', 'a'], ARRAY[NULL, true]", "job 1: succeeded is null"),
        ("ARRAY['a', 'a'], ARRAY[true, true], ARRAY[1, -1]", "job 2: processing_seconds is -1"),
        (
            "ARRAY['a', 'a'], ARRAY[true, true], job_sizes => ARRAY[-1, 1]",
            "job 1: job_size is -1",
        ),
    ],
)
def test_a_batch_with_an_invalid_job_records_none(
    rollout: Database, arguments: str, message: str
) -> None:
    with pytest.raises(psycopg.Error, match=message):
        rollout.execute(
            f"SELECT record_rollout_jobs('capture', ARRAY['{TOOLS}', '{SITE}']::uuid[], {arguments})"
        )

    assert sums(rollout) == (0, 0)


@pytest.mark.parametrize(
    "call",
    [
        f"'capture', '{TOOLS}', 'x', true",
        f"'capture', '{TOOLS}', 'x', true, 1.5",
        f"'capture', '{TOOLS}', 'x', false, NULL, 'it broke'",
        f"feature_name => 'capture', repo_id => '{TOOLS}', processor_type => 'x', succeeded => true",
        f"'capture', '{TOOLS}', 'x', succeeded => false, error_message => 'it broke'",
        f"'capture', '{TOOLS}', 'x', true, job_kind => 'pull_requests', job_size => 3",
    ],
)
def test_old_and_new_calls_record_a_job(rollout: Database, call: str) -> None:
    rollout.execute(f"SELECT record_rollout_job({call})")

    assert sums(rollout)[0] == 1


def test_a_duration_belongs_to_the_first_edge_that_it_does_not_exceed(rollout: Database) -> None:
    assert (
        rollout.value("""
        SELECT bool_and(
            rollout_duration_bucket_of(edges.up_to) = edges.bucket
            AND rollout_duration_bucket_of(edges.up_to * (1 + 1e-12)) = edges.bucket + 1
        ) FROM rollout_duration_bucket AS edges WHERE edges.up_to IS NOT NULL
    """)
        is True
    )
    assert rollout.value("SELECT rollout_duration_bucket_of(0)") == 1
    assert rollout.value("SELECT rollout_duration_bucket_of(3155760000)") == 48
    assert rollout.value("SELECT count(*) FROM rollout_duration_bucket") == 48


@pytest.mark.parametrize(
    ("size", "expected"),
    [(None, 0), (0, 1), (10, 1), (11, 2), (100, 2), (101, 3), (9223372036854775807, 19)],
)
def test_a_size_has_a_class_by_powers_of_ten(
    database: Database, size: int | None, expected: int
) -> None:
    assert database.value("SELECT rollout_size_class(%(size)s::bigint)", size=size) == expected


def test_a_corrected_odd_row_counts(rollout: Database) -> None:
    rollout.execute("ALTER TABLE rollout_metrics DROP CONSTRAINT rollout_metrics_short_windows")
    add(rollout, 5)
    rollout.execute("UPDATE rollout_metrics SET metrics_window_end = '9999-06-01'")
    assert rollout.value("SELECT coalesce(sum(jobs), 0) FROM rollout_metrics_rollup") == 0

    rollout.execute(
        "UPDATE rollout_metrics SET metrics_window_end = metrics_window_start + interval '1 minute'"
    )

    assert sums(rollout) == (5, 0)


def test_rows_of_an_adopted_service_have_sums(empty_database: Database) -> None:
    hosts.make_host(empty_database)
    schema.upgrade(empty_database.engine)

    jobs, _ = sums(empty_database)
    assert jobs > 0


def test_a_transaction_with_one_snapshot_records_beside_others(rollout: Database) -> None:
    with rollout.connect() as first:
        first.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        first.execute("SELECT count(*) FROM rollout_metrics")
        add(rollout, 3)
        rollout.value("SELECT merge_rollout_rollup(100)")
        first.execute(f"SELECT record_rollout_job('{FEATURE}', '{TOOLS}', 'x', true)")
        first.commit()
    rollout.value("SELECT merge_rollout_rollup(100)")

    assert sums(rollout) == (4, 0)
