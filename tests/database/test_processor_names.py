"""A worker that reports each job under another processor fills nothing, and keeps no judged job out."""

import psycopg
import pytest
from psycopg.errors import InvalidParameterValue

from tests.builders import RepositoryRow, add_repositories
from tests.postgres import Database

REPOSITORY = "6f0c1c1e-3c0e-4a55-9b3e-0e5f7a1f2d11"
RECORD = f"SELECT record_rollout_job('f', '{REPOSITORY}', %s, true)"
MOST_NAMES = 32


@pytest.fixture
def flooded(database: Database) -> Database:
    """A feature whose worker reported jobs under many names."""
    add_repositories(database, RepositoryRow("acme/tools", id=REPOSITORY))
    database.execute("INSERT INTO rollout_configuration (feature_name) VALUES ('f'), ('g')")
    with database.connect(autocommit=True) as worker:
        for number in range(MOST_NAMES):
            worker.execute(RECORD, (f"worker-{number}",))
        for number in range(MOST_NAMES, 200):
            with pytest.raises(InvalidParameterValue, match=f"jobs of {MOST_NAMES} other"):
                worker.execute(RECORD, (f"worker-{number}",))
    return database


def test_names_over_the_limit_are_refused_and_leave_nothing(flooded: Database) -> None:
    assert flooded.value("SELECT count(DISTINCT processor_type) FROM rollout_metrics") == MOST_NAMES
    assert flooded.value("SELECT sum(jobs)::int FROM rollout_metrics_rollup") == MOST_NAMES
    assert flooded.value("SELECT count(*) FROM rollout_processor_name") == MOST_NAMES


@pytest.mark.parametrize("processor", ["github_actions", "inngest", "worker-1"])
def test_compared_and_known_names_are_taken_over_the_limit(
    flooded: Database, processor: str
) -> None:
    flooded.execute(RECORD.replace("%s", f"'{processor}'"))
    flooded.execute(RECORD.replace("'f'", "'g'").replace("%s", "'a name of another feature'"))


def test_a_service_that_writes_rows_itself_has_no_limit(flooded: Database) -> None:
    flooded.execute(f"""
        INSERT INTO rollout_metrics (rollout_config_id, repository_id, processor_type, success_count,
            error_count, total_jobs, metrics_window_start, metrics_window_end)
        SELECT id, '{REPOSITORY}', 'of the service', 1, 0, 1, now() - interval '1 minute', now()
        FROM rollout_configuration WHERE feature_name = 'f'
    """)


def test_the_limit_is_of_one_day(flooded: Database) -> None:
    flooded.execute("UPDATE rollout_processor_name SET reported_on = reported_on - 2")
    flooded.execute(RECORD.replace("%s", "'another day'"))
    assert flooded.rows("SELECT name FROM rollout_processor_name") == [{"name": "another day"}]


def test_workers_with_new_names_do_not_wait_for_each_other(flooded: Database) -> None:
    flooded.execute("TRUNCATE rollout_processor_name")
    with flooded.connect() as one, flooded.connect() as other:
        for session in (one, other):
            session.execute("SET lock_timeout = '5s'")
            session.execute(RECORD, ("a new name",))
    with pytest.raises(psycopg.Error, match="1 to 50"):
        flooded.execute(RECORD.replace("%s", f"'{'a' * 51}'"))
