"""Migrations: one way to the newest schema from any state, completely or not at all."""

import re
import signal
import subprocess
import sys
from threading import Thread
from typing import Any

import psycopg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from reconciler.database import schema
from reconciler.errors import SetupInvalid
from tests.database.hosts import make_host
from tests.postgres import PROJECT, Database

MIGRATIONS = PROJECT / "reconciler" / "database" / "migrations" / "sql"

COLUMNS = """
    SELECT relname AS relation, attname AS name, format_type(atttypid, atttypmod) AS type,
        -- Rows of a service's metrics may lack these two.
        attnotnull OR relname = 'rollout_metrics' AND attname IN ('rollout_config_id', 'repository_id')
        AS not_null, attidentity AS identity,
        -- The service gives this one a default of its own.
        adbin IS NOT NULL OR attname = 'metrics_window_start' AS has_default
    FROM pg_class
    JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')
        AND relname NOT IN ('repositories', 'pull_requests', 'rollout_dashboard',
            'active_rollouts', 'repositories_taken_in')
"""
FUNCTIONS = """
    SELECT oid::regprocedure::text AS function, pg_get_function_result(oid) AS result,
        pg_get_function_arguments(oid) AS arguments, prosrc,
        prosqlbody IS NOT NULL AS is_standard, prosecdef, proconfig, provolatile, proparallel
    FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        -- The last two keep the arguments that the service gave them.
        AND proname NOT IN ('uuid_generate_v4', 'touch_updated_at', 'categorize_repository',
            'is_repository_eligible_for_rollout')
"""
TRIGGERS = """
    SELECT pg_get_triggerdef(oid) AS definition FROM pg_trigger
    WHERE NOT tgisinternal AND tgname NOT IN (
        'touch_rollout_configuration', 'touch_on_percentage', 'asleep'
    )
"""
RULES = r"""
    SELECT conrelid::regclass::text AS relation, contype,
        -- Casts and brackets are written differently when a rule is read again.
        CASE WHEN contype <> 'f' THEN regexp_replace(
            pg_get_constraintdef(pg_constraint.oid), '::[a-z ]+(\[\])?|[() ]', '', 'g'
        ) END AS definition,
        (SELECT array_agg(attname ORDER BY attname) FROM pg_attribute
         WHERE attrelid = conrelid AND attnum = ANY (conkey)) AS columns
    FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND contype IN ('p', 'u', 'c', 'f')
        AND conrelid::regclass::text NOT IN ('repositories', 'pull_requests')
        -- The statements of a service break these two.
        AND conname NOT IN ('rollout_metrics_short_windows', 'rollout_metrics_errors_of_jobs')
"""


def found(database: Database, query: str) -> set[str]:
    return {str(sorted(row.items())) for row in database.rows(query)}


def test_the_newest_revision_is_the_head_of_the_migrations() -> None:
    config = Config()
    config.set_main_option("script_location", "reconciler.database:migrations")
    assert ScriptDirectory.from_config(config).get_current_head() == schema.NEWEST_REVISION


@pytest.mark.parametrize("query", [COLUMNS, FUNCTIONS, TRIGGERS, RULES])
def test_an_adopted_database_has_everything_a_new_database_has(
    database: Database, empty_database: Database, query: str
) -> None:
    make_host(empty_database, rows=False)
    schema.upgrade(empty_database.engine)

    fresh, adopted = found(database, query), found(empty_database, query)

    assert fresh - adopted == set()
    if query is not RULES:
        assert len(adopted) == len(fresh)


def test_the_smallest_service_database_gets_the_same_schema(
    database: Database, empty_database: Database
) -> None:
    empty_database.execute("""
        CREATE TABLE repositories (id uuid, owner text, name text, full_name text,
            stargazers_count integer, contributors_count integer, PRIMARY KEY (id));
        CREATE TABLE rollout_configuration (id uuid, feature_name text, rollout_percentage integer);
        CREATE TABLE repository_categories (repository_id uuid, category text);
        CREATE TABLE rollout_metrics (rollout_config_id uuid, repository_id uuid,
            processor_type text, metrics_window_start timestamptz);
        CREATE TABLE rollout_history (rollout_config_id uuid, action text);
    """)
    schema.upgrade(empty_database.engine)

    def comparable(database: Database, query: str) -> set[str]:
        """A wider column stays wider."""
        return {
            re.sub(r"character varying\(\d+\)", "text", each) for each in found(database, query)
        }

    for query in (COLUMNS, FUNCTIONS, TRIGGERS, RULES):
        assert comparable(database, query) == comparable(empty_database, query)


def upgrade_process(database: Database) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "reconciler", "db", "upgrade", "--database-url", database.url],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_second_of_two_concurrent_upgrades_changes_nothing(empty_database: Database) -> None:
    make_host(empty_database)

    processes = [upgrade_process(empty_database) for _ in range(2)]
    outcomes = [(*process.communicate(timeout=120), process.returncode) for process in processes]

    assert sorted((out.splitlines()[-1], error, code) for out, error, code in outcomes) == [
        (f"the schema is {schema.NEWEST_REVISION} already; no action is needed", "", 0),
        (f"the schema is {schema.NEWEST_REVISION} now", "", 0),
    ]
    assert (
        empty_database.value("SELECT count(*) FROM rollout_history WHERE action = 'adopted'") == 3
    )


def test_an_upgrade_killed_in_the_middle_leaves_nothing(empty_database: Database) -> None:
    make_host(empty_database)
    before = found(empty_database, COLUMNS), found(empty_database, FUNCTIONS)
    with empty_database.connect() as holder:
        # It creates the tables first, and then waits for the index on pull requests.
        holder.execute("LOCK TABLE pull_requests IN ROW EXCLUSIVE MODE")
        process = upgrade_process(empty_database)
        wait_for_a_waiting_lock(empty_database)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)

    assert (found(empty_database, COLUMNS), found(empty_database, FUNCTIONS)) == before
    assert empty_database.value("SELECT to_regclass('rollout_schema_version')") is None
    assert schema.upgrade(empty_database.engine).changed


def wait_for_a_waiting_lock(database: Database) -> None:
    """Return as soon as a session waits for the table."""
    waiting = """
        SELECT count(*) FROM pg_locks
        WHERE NOT granted AND relation = 'pull_requests'::regclass
    """
    with database.connect(autocommit=True) as connection:
        while connection.execute(waiting.encode()).fetchone() == (0,):
            connection.execute("SELECT pg_sleep(0.01)")


def test_an_upgrade_waits_until_another_upgrade_ends(
    empty_database: Database,
) -> None:
    results: list[Any] = []
    with empty_database.connect() as holder:
        holder.execute((MIGRATIONS / "0006_lock.sql").read_bytes())
        upgrading = Thread(target=lambda: results.append(schema.upgrade(empty_database.engine)))
        upgrading.start()
        with empty_database.connect(autocommit=True) as connection:
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            while connection.execute(waiting.encode()).fetchone() == (0,):
                connection.execute("SELECT pg_sleep(0.01)")
        assert empty_database.value("SELECT to_regclass('rollout_configuration')") is None
    upgrading.join(timeout=60)
    assert [result.changed for result in results] == [True]


def test_a_schema_of_a_newer_release_is_not_changed(database: Database) -> None:
    database.execute("UPDATE rollout_schema_version SET version_num = '9999'")
    with pytest.raises(SetupInvalid, match="install the newest"):
        schema.upgrade(database.engine)
    assert database.value("SELECT version_num FROM rollout_schema_version") == "9999"


def test_a_service_keeps_its_own_alembic_and_can_go_on(empty_database: Database) -> None:
    make_host(empty_database)
    empty_database.execute(
        "CREATE TABLE alembic_version (version_num text); INSERT INTO alembic_version VALUES ('0001')"
    )

    assert schema.upgrade(empty_database.engine).changed
    empty_database.execute("UPDATE alembic_version SET version_num = '0002'")

    assert not schema.upgrade(empty_database.engine).changed
    assert empty_database.value("SELECT version_num FROM alembic_version") == "0002"
    with empty_database.engine.connect() as connection:
        schema.require_newest(connection)


def test_the_schema_is_created_in_public_under_any_search_path(empty_database: Database) -> None:
    name = empty_database.value("SELECT current_database()")
    empty_database.execute("CREATE SCHEMA elsewhere")
    empty_database.execute(f"ALTER DATABASE {name} SET search_path = elsewhere, public")

    schema.upgrade(empty_database.engine)

    assert empty_database.rows(
        "SELECT relname FROM pg_class WHERE relnamespace = 'elsewhere'::regnamespace"
    ) == []  # fmt: skip
    assert not schema.upgrade(empty_database.engine).changed


def test_a_failed_migration_is_reported_in_one_line(empty_database: Database) -> None:
    make_host(empty_database)
    name = empty_database.value("SELECT current_database()")
    empty_database.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with pytest.raises(psycopg.Error):
        empty_database.execute("CREATE TABLE nothing ()")
    process = upgrade_process(empty_database)
    stdout, stderr = process.communicate(timeout=60)
    assert (stdout, process.returncode) == ("", 1)
    assert len(stderr.splitlines()) == 1
    assert "read-only" in stderr
