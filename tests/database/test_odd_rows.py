"""One row with an impossible time makes one feature inconclusive and affects no other feature."""

import json
from datetime import datetime, timedelta

import psycopg
import pytest

from reconciler.database.health import read_health
from reconciler.database.lease import Lease
from reconciler.database.queries import queries
from reconciler.database.transactions import Database as OpenedDatabase
from reconciler.database.transactions import read_only_transaction
from reconciler.planning.health import Reason, Verdict
from tests.postgres import Database
from tests.site import Site

TOOLS = "6f0c1c1e-3c0e-4a55-9b3e-0e5f7a1f2d11"
TIMES = ("-infinity", "infinity", "200000-01-01", "4000-01-01 BC")
COLUMNS = (
    ("rollout_configuration", "created_at"),
    ("rollout_configuration", "updated_at"),
    ("rollout_configuration", "metrics_cut_at"),
    ("rollout_configuration", "evidence_began_at"),
    ("rollout_override", "created_at"),
    ("rollout_override", "updated_at"),
    ("rollout_override", "written_back_at"),
    ("rollout_history", "created_at"),
    ("rollout_metrics", "metrics_window_start"),
    ("rollout_metrics", "metrics_window_end"),
    ("rollout_metrics", "created_at"),
    ("rollout_metrics", "updated_at"),
    ("rollout_metrics", "last_error_at"),
)
SHARED = (
    ("repositories", "created_at"),
    ("repositories", "updated_at"),
    ("repositories", "contributors_counted_at"),
    ("repository_categories", "last_categorized_at"),
    ("repository_categories", "created_at"),
    ("repository_categories", "updated_at"),
    ("rollout_state", "applied_at"),
    ("rollout_lease", "until"),
    ("rollout_lease", "last_tick"),
)


@pytest.fixture
def rollout(database: Database) -> Database:
    """Two features whose jobs all fail; `odd` gets the odd row."""
    database.execute(f"""
        INSERT INTO repositories (id, owner, name, full_name)
        VALUES ('{TOOLS}', 'acme', 'tools', 'acme/tools');
        INSERT INTO repository_categories (repository_id, category) VALUES ('{TOOLS}', 'small');
        INSERT INTO rollout_lease VALUES ('watch', 'another', now());
        INSERT INTO rollout_configuration (feature_name, rollout_percentage)
        VALUES ('failing', 100), ('odd', 100);
        INSERT INTO rollout_metrics (rollout_config_id, repository_id, processor_type, total_jobs,
            error_count, metrics_window_start, metrics_window_end, last_error_at)
        SELECT id, '{TOOLS}', 'github_actions', 400, 400, now() - interval '10 minutes',
            now() - interval '5 minutes', now()
        FROM rollout_configuration;
        INSERT INTO rollout_override (id, rollout_config_id, state, percentage, reason, triggered_by)
        SELECT gen_random_uuid(), id, 'done', 0, 'a test', 'a test' FROM rollout_configuration;
        INSERT INTO rollout_history (rollout_config_id, action)
        SELECT id, 'created' FROM rollout_configuration;
    """)
    return database


def spoil(database: Database, table: str, column: str, value: str) -> None:
    """Write a value into the rows of the feature `odd`; a service's tables may have had it for long."""
    where = "true" if (table, column) in SHARED else "rollout_config_id = (SELECT id FROM odd)"
    if table == "rollout_configuration":
        where = "feature_name = 'odd'"
    database.execute(f"""
        ALTER TABLE {table} DISABLE TRIGGER ALL;
        ALTER TABLE rollout_metrics
            DROP CONSTRAINT rollout_metrics_finite_times,
            DROP CONSTRAINT rollout_metrics_short_windows;
        CREATE TEMPORARY VIEW odd AS SELECT id FROM rollout_configuration WHERE feature_name = 'odd';
        UPDATE {table} SET {column} = '{value}' WHERE {where};
        ALTER TABLE {table} ENABLE TRIGGER ALL;
    """)


def verdicts(site: Site) -> dict[str, str]:
    done = site.reconcile("health", "--rollback", "--no-write-back", "--format", "json")
    assert done.exit_code == 0, done
    return {
        each["name"]: each["reason"] or each["verdict"]
        for each in json.loads(done.stdout)["features"]
    }


@pytest.mark.parametrize("value", TIMES)
@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_an_odd_time_makes_its_feature_source_failed(
    rollout: Database, table: str, column: str, value: str
) -> None:
    spoil(rollout, table, column, value)
    with read_only_transaction(OpenedDatabase.at(rollout.address)) as connection:
        odd = read_health(connection, "odd")
        other = read_health(connection, "failing")
    assert (odd.judgement.verdict, odd.judgement.reason) == (
        Verdict.INCONCLUSIVE,
        Reason.SOURCE_FAILED,
    )
    assert table in odd.sentence
    assert column in odd.sentence
    assert other.judgement.verdict is Verdict.FAIL


@pytest.mark.parametrize("analyzed", [True, False])
def test_odd_times_are_searched_in_their_index_alone(rollout: Database, analyzed: bool) -> None:
    """A tick looks for them, so it must not read the table of metrics."""
    rollout.execute(f"""
        INSERT INTO rollout_metrics (rollout_config_id, repository_id, processor_type, total_jobs,
            metrics_window_start, metrics_window_end)
        SELECT id, '{TOOLS}', 'inngest', 1, now() - interval '10 minutes', now()
        FROM rollout_configuration, generate_series(1, 5000)
    """)
    if analyzed:
        rollout.execute("ANALYZE rollout_metrics")
    statement = queries("health")["odd_time"].replace(":features", "'{odd}'")

    plan = "\n".join(each["QUERY PLAN"] for each in rollout.rows(f"EXPLAIN {statement}"))

    assert "rollout_metrics_odd_time_index on rollout_metrics" in plan
    assert "Seq Scan on rollout_metrics" not in plan


def test_the_zero_time_of_a_service_in_go_is_not_odd(rollout: Database) -> None:
    spoil(rollout, "rollout_metrics", "last_error_at", "0001-01-01 00:00:00+00")
    with read_only_transaction(OpenedDatabase.at(rollout.address)) as connection:
        assert read_health(connection, "odd").judgement.verdict is Verdict.FAIL


@pytest.mark.parametrize(
    "change",
    [
        "monitoring_window_hours = 100000000",
        "monitoring_window = '300000 years'",
        "monitoring_window = '99999999 days'",
    ],
)
def test_an_absurd_window_stops_no_other_feature(
    site: Site, rollout: Database, change: str
) -> None:
    rollout.execute("ALTER TABLE rollout_configuration DISABLE TRIGGER keep_monitoring_window")
    rollout.execute(f"UPDATE rollout_configuration SET {change} WHERE feature_name = 'odd'")
    rollout.execute("""
        UPDATE rollout_configuration
        SET monitoring_window = make_interval(hours => monitoring_window_hours)
        WHERE monitoring_window_hours > 24
    """)
    rollout.execute("ALTER TABLE rollout_configuration ENABLE TRIGGER keep_monitoring_window")

    assert verdicts(site) == {"failing": "fail", "odd": "source_failed"}

    percentages = rollout.rows(
        "SELECT feature_name, rollout_percentage FROM rollout_configuration ORDER BY feature_name"
    )
    assert [int(each["rollout_percentage"]) for each in percentages] == [0, 100]
    for line in ("status", "history", "stats --feature odd", "metrics show --feature odd"):
        assert site.reconcile(*line.split()).exit_code == 0, line
    assert rollout.value("SELECT prune_rollout_metrics('1 day')") == 0


@pytest.mark.parametrize("value", TIMES)
@pytest.mark.parametrize(("table", "column"), SHARED)
def test_an_odd_time_of_no_feature_stops_nothing(
    rollout: Database, table: str, column: str, value: str
) -> None:
    spoil(rollout, table, column, value)
    with read_only_transaction(OpenedDatabase.at(rollout.address)) as connection:
        assert read_health(connection, "failing").judgement.verdict is Verdict.FAIL


def test_every_command_that_reads_times_reads_odd_ones(site: Site, rollout: Database) -> None:
    rollout.execute("""
        ALTER TABLE rollout_metrics DROP CONSTRAINT rollout_metrics_finite_times,
            DROP CONSTRAINT rollout_metrics_short_windows
    """)
    for table, column in (*COLUMNS, *SHARED):
        rollout.execute(f"""
            ALTER TABLE {table} DISABLE TRIGGER ALL;
            UPDATE {table} SET {column} = '-infinity';
            ALTER TABLE {table} ENABLE TRIGGER ALL;
        """)
    for line in (
        *("status", "history", "health", "metrics show --feature odd", "stats --feature odd"),
        *("explain acme/tools --feature odd", "--dry-run", "categories", "repositories list"),
        *("stop --feature odd --reason test --no-write-back", "verify --feature odd"),
    ):
        done = site.reconcile(*line.split())
        assert "fault of reconcile" not in done.stderr, (line, done)
        assert "out of range" not in done.stderr, (line, done)
        assert "too " not in done.stderr, (line, done)


@pytest.mark.parametrize("value", TIMES)
def test_the_odd_day_of_a_price_stops_no_command(site: Site, rollout: Database, value: str) -> None:
    rollout.execute("INSERT INTO rollout_processor (name, cost, as_of) VALUES ('x', '{}', now())")
    rollout.execute(f"UPDATE rollout_processor SET as_of = '{value}'")

    for line in ("status", "drift", "import", "cost --feature odd", "--dry-run"):
        done = site.reconcile(*line.split())
        assert "date too" not in done.stderr, (line, done)
        assert done.exit_code in {0, 3}, (line, done)


@pytest.mark.parametrize("value", TIMES)
def test_a_lease_with_an_odd_end_can_be_taken(rollout: Database, value: str) -> None:
    rollout.execute(f"UPDATE rollout_lease SET until = '{value}'")
    opened = OpenedDatabase.at(rollout.address)
    assert Lease.of_this_process(opened, "watch", timedelta(seconds=15)).take()


@pytest.mark.parametrize("value", TIMES)
def test_a_job_is_recorded_under_any_cut(rollout: Database, value: str) -> None:
    rollout.execute(f"UPDATE rollout_configuration SET metrics_cut_at = '{value}'")
    rollout.execute(f"SELECT record_rollout_job('odd', '{TOOLS}', 'new', true)")
    found = rollout.rows(
        "SELECT metrics_window_start FROM rollout_metrics WHERE processor_type = 'new'"
    )
    assert isinstance(found[0]["metrics_window_start"], datetime)


@pytest.mark.parametrize(
    "change",
    [
        "metrics_window_start = '-infinity'",
        "metrics_window_end = 'infinity'",
        "metrics_window_end = '200000-01-01'",
        "updated_at = 'infinity'",
        "last_error_at = '-infinity'",
        "error_count = total_jobs + 1",
    ],
)
def test_a_new_row_of_metrics_is_checked(rollout: Database, change: str) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        rollout.execute(f"UPDATE rollout_metrics SET {change}")
