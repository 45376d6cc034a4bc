"""A database of each older release becomes one of the newest, with its rows and a service's own tables."""

from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from reconciler.database import schema, schema_objects
from reconciler.database.removal import remove
from reconciler.errors import SetupInvalid
from tests.database.hosts import SITE, TOOLS, drop_role, make_host, new_role
from tests.database.test_migrations import COLUMNS, FUNCTIONS, RULES, TRIGGERS, found
from tests.postgres import Database

OWN_VERSION_TABLE_SINCE = "0003"
RECORD_SINCE = "0003"
_ONE_ROW_A_WINDOW = """
    DELETE FROM public.rollout_metrics AS one USING public.rollout_metrics AS other
    WHERE one.id > other.id AND (one.rollout_config_id, one.repository_id, one.metrics_window_start)
        = (other.rollout_config_id, other.repository_id, other.metrics_window_start);
    ALTER TABLE public.rollout_metrics ADD UNIQUE (
        rollout_config_id, repository_id, processor_type, metrics_window_start
    );
"""
"""The first two releases merged the rows of one window."""
FEATURE = "hybrid_progressive_capture"
SERVICE_FUNCTIONS = {
    "categorize_repository",
    "is_repository_eligible_for_rollout",
    "touch_updated_at",
    "uuid_generate_v4",
}
"""The functions of the service in `host_schema.sql`; it gave no role a right on its tables."""


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "reconciler.database:migrations")
    return config


OLDER = sorted(
    each.revision
    for each in ScriptDirectory.from_config(_config()).walk_revisions()
    if each.revision != schema.NEWEST_REVISION
)


def make_older_host(database: Database, revision: str) -> None:
    make_host(database)
    if revision < RECORD_SINCE:
        # These releases had a function of their own in its place.
        database.execute("DROP FUNCTION is_repository_eligible_for_rollout(uuid, varchar) CASCADE")


def migrate_to(database: Database, revision: str) -> None:
    """Leave a database as the release of this revision left it."""
    config = _config()
    had_metrics = database.value("SELECT to_regclass('rollout_metrics')") is not None
    with database.engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL search_path = pg_catalog, pg_temp")
        config.attributes["connection"] = connection
        config.attributes["after_revision"] = None
        command.upgrade(config, revision)
        if revision < OWN_VERSION_TABLE_SINCE:
            connection.exec_driver_sql(
                f"ALTER TABLE public.{schema.VERSION_TABLE} RENAME TO alembic_version;"
                "ALTER TABLE public.alembic_version"
                f" RENAME CONSTRAINT {schema.VERSION_TABLE}_pkc TO alembic_version_pkc"
            )
            if had_metrics:
                connection.exec_driver_sql(_ONE_ROW_A_WINDOW)


def use(database: Database) -> None:
    """What happens in the time of the older release."""
    database.execute(f"""
        UPDATE rollout_configuration SET rollout_percentage = 12.5,
            target_repositories = array_append(target_repositories, 'acme/site')
        WHERE feature_name = '{FEATURE}';
        SELECT record_rollout_job('{FEATURE}', '{TOOLS}', 'inngest', true, 1.5);
        SELECT record_rollout_job('{FEATURE}', '{TOOLS}', 'inngest', false, null, 'timeout');
        SELECT categorize_all_repositories();
    """)


def rows(database: Database) -> dict[str, Any]:
    return {
        "configuration": database.rows(
            "SELECT feature_name, rollout_percentage, is_active, target_repositories,"
            " excluded_repositories, emergency_stop, updated_at FROM rollout_configuration ORDER BY 1"
        ),
        "metrics": database.rows(
            "SELECT processor_type, success_count, error_count, total_jobs, metrics_window_start,"
            " updated_at FROM rollout_metrics ORDER BY id"
        ),
        "history": database.rows(
            "SELECT action, reason, created_at FROM rollout_history ORDER BY position"
        ),
        "categories": database.rows(
            "SELECT repository_id, category, marked_as_test FROM repository_categories ORDER BY 1"
        ),
        "eligible": database.rows(
            "SELECT feature_name, full_name FROM rollout_configuration, repositories"
            " WHERE is_repository_eligible_for_rollout(repositories.id, feature_name) ORDER BY 1, 2"
        ),
    }


def open_to_every_role(database: Database) -> set[str]:
    found = database.rows("""
        SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
            AND has_function_privilege('public', oid, 'EXECUTE')
    """)
    return {row["proname"] for row in found}


@pytest.mark.parametrize("adopted", [True, False], ids=["of a service", "stand-alone"])
@pytest.mark.parametrize("revision", OLDER)
def test_an_older_database_is_upgraded_with_its_rows(
    empty_database: Database, database: Database, revision: str, *, adopted: bool
) -> None:
    old = empty_database
    if adopted:
        make_older_host(old, revision)
    migrate_to(old, revision)
    if adopted:
        use(old)
    before = rows(old)
    with old.engine.connect() as connection:
        assert schema.current_revision(connection) == revision

    done = schema.upgrade(old.engine)

    assert (done.changed, done.before) == (True, revision)
    assert rows(old) == before
    assert old.value("SELECT to_regclass('alembic_version')") is None
    assert old.rows("SELECT version_num FROM rollout_schema_version") == [
        {"version_num": schema.NEWEST_REVISION}
    ]
    with old.engine.connect() as connection:
        assert schema_objects.find_differences(connection) == []
    assert open_to_every_role(old) <= (SERVICE_FUNCTIONS if adopted else set())
    for query in (COLUMNS, FUNCTIONS, TRIGGERS, RULES):
        assert found(database, query) - found(old, query) == set()
    assert not schema.upgrade(old.engine).changed
    if adopted:
        old.execute(f"SELECT record_rollout_job('{FEATURE}', '{SITE}', 'inngest', true)")
        assert rows(old)["metrics"] != before["metrics"]


@pytest.mark.parametrize("revision", [each for each in OLDER if each < RECORD_SINCE])
def test_an_adoption_without_a_record_cannot_be_undone(
    empty_database: Database, revision: str
) -> None:
    make_older_host(empty_database, revision)
    migrate_to(empty_database, revision)
    schema.upgrade(empty_database.engine)
    before = rows(empty_database)

    with pytest.raises(
        SetupInvalid, match=r"kept no record.*\n.*restore a backup from before the adoption"
    ):
        remove(empty_database.engine)

    assert rows(empty_database) == before


def test_a_categorizing_call_that_an_older_release_replaced_writes_again(
    empty_database: Database,
) -> None:
    make_host(empty_database, rows=True)
    empty_database.execute("""
        CREATE OR REPLACE FUNCTION categorize_repository(repo_id uuid) RETURNS varchar
        LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO repository_categories (repository_id, category) VALUES (repo_id, 'small')
            ON CONFLICT (repository_id) DO UPDATE SET category = 'small';
            RETURN 'small';
        END
        $$
    """)
    migrate_to(empty_database, "0005")
    # As these releases left it.
    empty_database.execute("""
        UPDATE rollout_adopted_object SET definition = jsonb_set(definition, '{kept}', 'false')
        WHERE relation = 'categorize_repository';
        DROP FUNCTION categorize_repository(uuid);
        CREATE FUNCTION categorize_repository(repo_id uuid) RETURNS text
        LANGUAGE sql STABLE RETURN category_of_repository(repo_id);
        DELETE FROM repository_categories;
    """)

    schema.upgrade(empty_database.engine)

    assert empty_database.value(f"SELECT categorize_repository('{TOOLS}')") == "small"
    assert empty_database.value("SELECT count(*) FROM repository_categories") == 1


def test_a_role_that_reads_may_still_call_what_was_open_to_every_role(
    empty_database: Database,
) -> None:
    migrate_to(empty_database, "0002")
    reader = new_role(empty_database, "reader")
    try:
        empty_database.execute(f"GRANT SELECT (id, salt) ON rollout_configuration TO {reader}")

        schema.upgrade(empty_database.engine)

        may = empty_database.rows(f"""
            SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
                AND has_function_privilege('{reader}', oid, 'EXECUTE')
        """)
        names = {row["proname"] for row in may}
        assert {"eligible_repositories", "explain_repository_eligibility"} <= names
        assert not names & {"categorize_all_repositories", "prune_rollout_metrics"}
    finally:
        drop_role(empty_database, reader)
