"""Adoption of a service's tables: wider, complete, and otherwise unchanged."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from inline_snapshot import snapshot

from reconciler.database import schema
from reconciler.errors import SetupInvalid
from tests.database.hosts import CORE, SITE, TOOLS, drop_role, make_host, new_role
from tests.postgres import Database

FEATURE = "hybrid_progressive_capture"


@pytest.fixture
def host(empty_database: Database) -> Database:
    """A service's database with its rows."""
    make_host(empty_database)
    return empty_database


@pytest.fixture
def role(empty_database: Database) -> Iterator[str]:
    """A role of the service without any right."""
    role = new_role(empty_database, "service")
    yield role
    drop_role(empty_database, role)


def as_role(database: Database, role: str, sql: str) -> list[tuple[Any, ...]]:
    """Return what a role gets for a statement, committed."""
    with database.connect() as connection:
        connection.execute(f"SET ROLE {role}".encode())
        cursor = connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


def columns(database: Database, table: str) -> dict[str, str]:
    rows = database.rows(
        "SELECT attname, format_type(atttypid, atttypmod) AS type FROM pg_attribute"
        " WHERE attrelid = %(table)s::regclass AND attnum > 0 AND NOT attisdropped",
        table=table,
    )
    return {row["attname"]: row["type"] for row in rows}


def test_columns_become_wider_and_every_row_keeps_its_values(host: Database) -> None:
    kept = "id, feature_name, created_at, updated_at"
    before = host.rows(f"SELECT {kept} FROM rollout_configuration ORDER BY id")

    assert schema.upgrade(host.engine).changed

    assert host.rows(f"SELECT {kept} FROM rollout_configuration ORDER BY id") == before
    types = columns(host, "rollout_configuration")
    assert types["rollout_percentage"] == "numeric(5,2)"
    history = columns(host, "rollout_history")
    assert (history["previous_percentage"], history["new_percentage"]) == ("numeric(5,2)",) * 2
    assert history["reason"] == "text"
    (row,) = host.rows(f"SELECT * FROM rollout_configuration WHERE feature_name = '{FEATURE}'")
    assert (row["rollout_percentage"], row["target_repositories"]) == (10, [TOOLS])
    assert (row["monitoring_window_hours"], row["monitoring_window"].days) == (48, 2)
    assert row["metadata"] == {"description": "Capture", "team": "release"}
    host.execute("UPDATE rollout_configuration SET rollout_percentage = 12.5")


def test_adopting_again_changes_nothing(host: Database) -> None:
    schema.upgrade(host.engine)
    before = host.rows("SELECT * FROM rollout_history")

    assert not schema.upgrade(host.engine).changed

    assert host.rows("SELECT * FROM rollout_history") == before


def test_nulls_become_defaults_that_widen_no_feature(host: Database) -> None:
    schema.upgrade(host.engine)

    (row,) = host.rows("""
        SELECT rollout_percentage::int, is_active, emergency_stop, rollout_strategy,
            target_repositories, excluded_repositories, monitoring_window_hours, metadata
        FROM rollout_configuration WHERE feature_name = 'full_of_nulls'
    """)
    assert row == {
        "rollout_percentage": 0,
        "is_active": False,
        "emergency_stop": True,
        "rollout_strategy": "whitelist",
        "target_repositories": [],
        "excluded_repositories": [],
        "monitoring_window_hours": 24,
        "metadata": {},
    }


def test_duplicate_windows_stay_and_all_of_them_count(host: Database) -> None:
    before = host.rows("SELECT id, total_jobs FROM rollout_metrics ORDER BY id")

    schema.upgrade(host.engine)

    assert host.rows("SELECT id, total_jobs FROM rollout_metrics ORDER BY id") == before
    assert host.value(f"""
        SELECT sum(total_jobs) FROM rollout_metrics_since(
            (SELECT id FROM rollout_configuration WHERE feature_name = '{FEATURE}'), '2025-01-01'
        )
    """) == sum(row["total_jobs"] for row in before)


def test_adoption_keeps_marks_and_only_known_categories(host: Database) -> None:
    schema.upgrade(host.engine)

    assert host.rows("""
        SELECT repository_id::text AS id, category, is_test_repository AS test, marked_as_test
        FROM repository_categories ORDER BY repository_id
    """) == [
        {"id": TOOLS, "category": "test", "test": True, "marked_as_test": True},
        {"id": SITE, "category": "large", "test": True, "marked_as_test": True},
        {"id": CORE, "category": "enterprise", "test": False, "marked_as_test": False},
    ]


def test_adoption_keeps_the_history_in_order_and_records_itself(host: Database) -> None:
    schema.upgrade(host.engine)

    rows = host.rows("SELECT action, metadata FROM rollout_history ORDER BY position")
    assert [row["action"] for row in rows] == [
        "created",
        "paused_by_release_team",
        *["adopted"] * 3,
    ]
    before_and_after = {
        row["metadata"]["after"]["salt"]: row["metadata"]["before"] for row in rows[2:]
    }
    assert before_and_after[FEATURE] == {}
    assert before_and_after["full_of_nulls"]["emergency_stop"] is None
    host.execute("INSERT INTO rollout_history (action) VALUES ('rollback')")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        host.execute("DELETE FROM rollout_history")


def test_list_keys_exist_and_follow_hand_written_sql(host: Database) -> None:
    schema.upgrade(host.engine)
    eligible = f"SELECT is_repository_eligible_for_rollout('{SITE}')"
    host.execute("UPDATE rollout_configuration SET rollout_percentage = 0")
    before = host.value(eligible)

    host.execute(
        "UPDATE rollout_configuration SET target_repositories = array_append("
        f"target_repositories, '{SITE}') WHERE feature_name = '{FEATURE}'"
    )

    assert (before, host.value(eligible)) == (False, True)
    assert {row["key"] for row in host.rows("SELECT key FROM rollout_membership")} == {
        TOOLS,
        SITE,
        "globex/core",
    }


def test_nested_views_are_unchanged(host: Database, role: str) -> None:
    host.execute(f"GRANT SELECT ON rollout_dashboard TO {role}")
    definition = "SELECT pg_get_viewdef('active_rollouts'::regclass)"
    before = host.value(definition)

    schema.upgrade(host.engine)

    assert host.value(definition) == before
    assert as_role(host, role, "SELECT count(*) FROM rollout_dashboard") == [(3,)]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        as_role(host, role, "SELECT * FROM active_rollouts")
    assert host.rows("""
        SELECT obj_description(oid, 'pg_class') AS comment, reloptions
        FROM pg_class WHERE relname = 'rollout_dashboard'
    """) == [{"comment": "What the release team looks at", "reloptions": ["security_barrier=true"]}]
    assert columns(host, "active_rollouts")["rollout_percentage"] == "numeric(5,2)"
    assert host.value("SELECT count(*) FROM repositories_taken_in") == 2


def test_triggers_and_policies_are_unchanged(host: Database) -> None:
    host.execute("""
        CREATE POLICY small_steps ON rollout_configuration AS RESTRICTIVE FOR UPDATE
        USING (rollout_percentage < 50) WITH CHECK (rollout_percentage < 60);
        CREATE POLICY taken_in ON repositories FOR DELETE
        USING (is_repository_eligible_for_rollout(id, 'stopped'));
    """)
    policies = (
        "SELECT tablename, policyname, permissive, roles, cmd, qual, with_check FROM pg_policies"
        " WHERE policyname NOT IN ('rollout_read', 'taken_in') ORDER BY 1, 2"
    )
    triggers = (
        "SELECT tgname, tgenabled, pg_get_triggerdef(oid) AS definition FROM pg_trigger"
        " WHERE tgname IN ('touch_rollout_configuration', 'touch_on_percentage', 'asleep')"
        " ORDER BY tgname"
    )
    before = host.rows(policies), host.rows(triggers)

    schema.upgrade(host.engine)

    after = host.rows(policies), host.rows(triggers)
    assert after[1] == before[1]
    # Compared with a constant of the column's new type.
    (steps,) = (row for row in after[0] if row["policyname"] == "small_steps")
    assert steps.pop("qual") == "(rollout_percentage < (50)::numeric)"
    assert steps.pop("with_check") == "(rollout_percentage < (60)::numeric)"
    (steps,) = (row for row in before[0] if row["policyname"] == "small_steps")
    assert (steps.pop("qual"), steps.pop("with_check")) != (None, None)
    assert after[0] == before[0]
    assert host.value("SELECT cmd FROM pg_policies WHERE policyname = 'taken_in'") == "DELETE"
    assert host.value(
        "SELECT relrowsecurity FROM pg_class WHERE oid = 'rollout_configuration'::regclass"
    )


def test_grants_on_tables_and_replaced_functions_are_unchanged(host: Database, role: str) -> None:
    host.execute(f"""
        REVOKE EXECUTE ON FUNCTION categorize_repository(uuid) FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION categorize_repository(uuid) TO {role};
        GRANT UPDATE ON rollout_configuration TO {role};
    """)

    schema.upgrade(host.engine)

    assert host.rows(f"""
        SELECT
            has_function_privilege('{role}', 'categorize_repository(uuid)', 'EXECUTE') AS may,
            has_function_privilege('public', 'categorize_repository(uuid)', 'EXECUTE') AS all_may,
            has_function_privilege(
                'public', 'is_repository_eligible_for_rollout(uuid, varchar)', 'EXECUTE'
            ) AS all_may_ask,
            has_table_privilege('{role}', 'rollout_configuration', 'UPDATE') AS may_update,
            has_table_privilege('{role}', 'rollout_membership', 'SELECT') AS may_read_keys
    """) == [
        {
            "may": True,
            "all_may": False,
            "all_may_ask": True,
            "may_update": True,
            "may_read_keys": False,
        }
    ]


@pytest.mark.parametrize("grantee", ["PUBLIC", "role"])
def test_a_service_that_can_read_can_query_eligibility(
    host: Database, role: str, grantee: str
) -> None:
    to = role if grantee == "role" else "PUBLIC"
    host.execute(f"GRANT SELECT ON rollout_configuration, repositories TO {to}")
    host.execute(f"GRANT SELECT ON repository_categories, pull_requests TO {to}")

    schema.upgrade(host.engine)

    asked = f"SELECT is_repository_eligible_for_rollout('{{}}', '{FEATURE}')"
    assert as_role(host, role, asked.format(TOOLS)) == [(True,)]
    assert as_role(host, role, asked.format(CORE)) == [(False,)]
    host.execute("DELETE FROM repository_categories")
    assert as_role(host, role, asked.format(SITE)) == [(False,)]
    assert as_role(host, role, f"SELECT count(*) FROM eligible_repositories('{FEATURE}')") == [(1,)]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        as_role(host, role, "SELECT * FROM rollout_override")


def test_a_service_that_reads_only_columns_can_query_eligibility(host: Database, role: str) -> None:
    host.execute(f"""
        GRANT SELECT (id, feature_name, rollout_percentage, is_active, emergency_stop,
            rollout_strategy, target_repositories) ON rollout_configuration TO {role};
        GRANT SELECT (id, full_name) ON repositories TO {role};
    """)

    schema.upgrade(host.engine)

    asked = f"SELECT is_repository_eligible_for_rollout('{TOOLS}')"
    assert as_role(host, role, asked) == [(True,)]


def test_the_service_role_can_stop_and_edit_lists_by_sql(host: Database, role: str) -> None:
    host.execute(f"""
        GRANT SELECT, UPDATE ON rollout_configuration TO {role};
        GRANT SELECT, INSERT ON rollout_history TO {role};
        CREATE POLICY "Write rollout" ON rollout_configuration FOR UPDATE TO {role} USING (true);
        CREATE POLICY "Write history" ON rollout_history FOR INSERT TO {role} WITH CHECK (true);
    """)
    schema.upgrade(host.engine)

    as_role(
        host,
        role,
        f"UPDATE rollout_configuration SET target_repositories = "
        f"array_append(target_repositories, '{SITE}') WHERE feature_name = '{FEATURE}'",
    )
    as_role(
        host,
        role,
        "UPDATE rollout_configuration SET rollout_percentage = 0, emergency_stop = true,"
        f" updated_at = now() WHERE feature_name = '{FEATURE}'",
    )
    as_role(
        host,
        role,
        f"""
        INSERT INTO rollout_history
            (rollout_config_id, action, previous_percentage, new_percentage, reason, triggered_by)
        VALUES ((SELECT id FROM rollout_configuration
            WHERE feature_name = '{FEATURE}'),
            'emergency_rollback', 50, 0, 'Manual emergency rollback', 'manual')
        """,
    )

    assert host.rows(
        f"SELECT rule FROM explain_repository_eligibility('{TOOLS}', '{FEATURE}')"
    ) == [{"rule": "emergency_stop"}]
    assert host.value(f"SELECT count(*) FROM rollout_membership WHERE key = '{SITE}'") == 1
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        as_role(host, role, "INSERT INTO rollout_membership SELECT id, 'whitelist', 'a/b'"
                " FROM rollout_configuration")  # fmt: skip


def test_grants_by_default_privileges_are_revoked(host: Database, role: str) -> None:
    for kind in ("TABLES", "FUNCTIONS", "SEQUENCES"):
        host.execute(f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON {kind} TO {role}")
    host.execute(f"GRANT SELECT ON repositories TO {role}")

    schema.upgrade(host.engine)

    for statement in (
        "DELETE FROM repository_activity",
        "TRUNCATE rollout_generation",
        "UPDATE category_threshold SET stars = 1000000",
        "DELETE FROM rollout_membership",
        "UPDATE rollout_schema_version SET version_num = '0000'",
        "SELECT setval('rollout_history_position_seq', 1)",
        trigger_on_another_table("keep_rollout_membership"),
        trigger_on_another_table("cut_metric_windows"),
    ):
        with pytest.raises(psycopg.Error):
            as_role(host, role, statement)
    assert host.value("SELECT count(*) FROM repositories") == 3


def trigger_on_another_table(function: str) -> str:
    """Try to write with the rights of a function's owner, as an attacker would."""
    return (
        "CREATE TEMPORARY TABLE mine (id integer);"
        f"CREATE TRIGGER t AFTER INSERT ON mine FOR EACH ROW EXECUTE FUNCTION {function}()"
    )


@pytest.mark.parametrize("function", ["keep_rollout_membership", "cut_metric_windows"])
def test_a_definers_trigger_refuses_another_table(host: Database, role: str, function: str) -> None:
    schema.upgrade(host.engine)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match=function):
        as_role(host, role, trigger_on_another_table(function))


def test_pull_requests_are_counted_for_all_and_looked_up_for_one(host: Database) -> None:
    host.execute(
        f"INSERT INTO pull_requests (number, repository_id) SELECT n, '{TOOLS}'"
        " FROM generate_series(1, 5000) AS n"
    )
    schema.upgrade(host.engine)
    host.execute("ANALYZE")

    one = f"SELECT pull_requests FROM repository_activity WHERE repository_id = '{SITE}'"
    assert host.value(one) == 120
    (plan,) = host.rows(f"EXPLAIN (ANALYZE, FORMAT JSON) {one}")[0]["QUERY PLAN"]
    nodes = list(walk(plan["Plan"]))
    assert [
        each["Actual Rows"] for each in nodes if "pull_requests" in each.get("Index Name", "")
    ] == [120]
    assert not [each for each in nodes if each["Node Type"] == "Seq Scan"
                and each["Relation Name"] == "pull_requests"]  # fmt: skip


def walk(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for each in node.get("Plans", []):
        yield from walk(each)


def test_metrics_come_from_a_column_if_there_is_no_table(empty_database: Database) -> None:
    make_host(empty_database)
    empty_database.execute("""
        DROP TABLE pull_requests;
        ALTER TABLE repositories ADD COLUMN pull_requests_count bigint;
        UPDATE repositories SET pull_requests_count = 5000000000 WHERE name = 'site';
    """)
    schema.upgrade(empty_database.engine)
    assert empty_database.rows(
        "SELECT stars, pull_requests FROM repository_activity ORDER BY repository_id"
    ) == [
        {"stars": 20, "pull_requests": 0},
        {"stars": 4000, "pull_requests": 2147483647},
        {"stars": 0, "pull_requests": 0},
    ]


def test_metrics_that_are_not_stored_are_zero(host: Database) -> None:
    host.execute("DROP TABLE pull_requests")
    schema.upgrade(host.engine)
    assert host.value("SELECT max(pull_requests) FROM repository_activity") == 0


@pytest.mark.parametrize(
    "missing",
    [
        "rollout_history, rollout_metrics, repository_categories, rollout_configuration",
        "rollout_history",
        "rollout_metrics, rollout_history",
        "repository_categories",
    ],
)
def test_a_host_with_only_some_of_the_tables_is_adopted(host: Database, missing: str) -> None:
    host.execute(f"DROP TABLE {missing} CASCADE")
    schema.upgrade(host.engine)
    assert host.value("SELECT count(*) FROM eligible_repositories('stopped')") == 0
    host.execute(
        "INSERT INTO rollout_configuration (feature_name) VALUES ('another');"
        "INSERT INTO rollout_history (rollout_config_id, action)"
        " SELECT id, 'updated' FROM rollout_configuration LIMIT 1;"
        "SELECT categorize_all_repositories();"
    )
    assert host.value("SELECT count(*) FROM repository_categories") == 3


def test_missing_columns_get_their_defaults(host: Database) -> None:
    host.execute("""
        ALTER TABLE rollout_configuration DROP COLUMN emergency_stop, DROP COLUMN max_error_rate,
            DROP COLUMN updated_at;
        ALTER TABLE repository_categories DROP COLUMN monthly_activity_score;
        DROP FUNCTION is_repository_eligible_for_rollout CASCADE;
    """)
    schema.upgrade(host.engine, accept_audience_change=True)
    assert host.value("SELECT bool_or(emergency_stop) FROM rollout_configuration") is False
    assert host.value("SELECT max(max_error_rate)::int FROM rollout_configuration") == 5


def test_constraints_that_are_too_narrow_are_widened(host: Database) -> None:
    host.execute("""
        UPDATE repository_categories SET category = 'small';
        ALTER TABLE repository_categories ADD CHECK (category IN ('small', 'medium', 'large'));
        ALTER TABLE rollout_metrics ADD CHECK (processor_type IN ('inngest'));
        UPDATE rollout_configuration SET rollout_strategy = 'percentage';
        ALTER TABLE rollout_configuration DROP CONSTRAINT strategy_known,
            ADD CHECK (rollout_strategy IN ('percentage', 'whitelist'));
    """)
    schema.upgrade(host.engine)

    assert host.value("SELECT categorize_all_repositories()") == 3
    host.execute(f"""
        UPDATE rollout_configuration SET rollout_strategy = 'repository_size';
        SELECT record_rollout_job('{FEATURE}', '{TOOLS}', 'another', true);
    """)
    with pytest.raises(psycopg.errors.CheckViolation):
        host.execute("UPDATE rollout_configuration SET rollout_strategy = 'moon'")


def test_a_service_that_writes_nulls_keeps_working(host: Database) -> None:
    schema.upgrade(host.engine)

    host.execute(f"""
        UPDATE rollout_configuration SET target_repositories = null, excluded_repositories =
            (SELECT array_agg(id::text) FROM repositories WHERE owner = 'nobody'), metadata = null;
        DELETE FROM repository_categories;
        INSERT INTO repository_categories
            (repository_id, category, star_count, contributor_count, pr_count)
        VALUES ('{TOOLS}', 'small', null, null, null);
        INSERT INTO rollout_history (rollout_config_id, action, metadata)
        SELECT id, 'percentage_changed', null FROM rollout_configuration;
    """)

    assert host.value("SELECT count(*) FROM rollout_membership") == 0
    assert host.value("SELECT count(*) FROM rollout_configuration WHERE metadata = '{}'") == 3
    assert host.value(
        "SELECT star_count + contributor_count + pr_count FROM repository_categories"
    ) == 0  # fmt: skip
    assert host.value("SELECT count(*) FROM rollout_history WHERE metadata IS NULL") == 4


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("uuid []", f"ARRAY['{TOOLS}']::uuid []"),
        ("jsonb", f"""'["{TOOLS}"]'"""),
        ("varchar(40) []", f"ARRAY['{TOOLS}']"),
    ],
)
def test_lists_of_another_type_become_text(host: Database, kind: str, value: str) -> None:
    host.execute(f"""
        DROP FUNCTION is_repository_eligible_for_rollout CASCADE;
        ALTER TABLE rollout_configuration DROP COLUMN target_repositories;
        ALTER TABLE rollout_configuration ADD COLUMN target_repositories {kind} DEFAULT {value};
    """)
    schema.upgrade(host.engine, accept_audience_change=True)
    assert host.value(
        f"SELECT target_repositories FROM rollout_configuration WHERE feature_name = '{FEATURE}'"
    ) == [TOOLS]
    assert host.value("SELECT count(*) FROM rollout_membership WHERE list = 'whitelist'") == 3
    host.execute("INSERT INTO rollout_configuration (feature_name) VALUES ('another')")
    assert (
        host.value(
            "SELECT target_repositories FROM rollout_configuration WHERE feature_name = 'another'"
        )
        == []
    )


def test_metrics_out_of_range_are_clamped(host: Database) -> None:
    host.execute("""
        ALTER TABLE rollout_configuration DROP CONSTRAINT percentage_in_range;
        UPDATE rollout_configuration SET rollout_percentage = 150, monitoring_window_hours = 0,
            max_error_rate = 'NaN' WHERE feature_name = 'stopped';
        UPDATE rollout_metrics SET error_count = -1;
    """)
    schema.upgrade(host.engine)
    assert host.rows("""
        SELECT rollout_percentage::int, monitoring_window_hours, max_error_rate::int
        FROM rollout_configuration WHERE feature_name = 'stopped'
    """) == [{"rollout_percentage": 100, "monitoring_window_hours": 24, "max_error_rate": 0}]


def test_rows_with_dangling_references_are_kept(host: Database) -> None:
    host.execute("""
        ALTER TABLE rollout_history DROP CONSTRAINT rollout_history_rollout_config_id_fkey;
        INSERT INTO rollout_history (rollout_config_id, action) VALUES (gen_random_uuid(), 'created');
    """)
    schema.upgrade(host.engine)
    assert host.value("SELECT count(*) FROM rollout_history WHERE action = 'created'") == 2
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        host.execute(
            "INSERT INTO rollout_history (rollout_config_id, action)"
            " VALUES (gen_random_uuid(), 'created')"
        )


def test_duplicate_feature_rows_are_listed_with_a_solution(host: Database) -> None:
    host.execute("""
        INSERT INTO rollout_configuration (id, feature_name, rollout_percentage, updated_at)
        VALUES ('00000000-0000-4000-8000-00000000000f', 'stopped', 25, '2025-02-03Z')
    """)
    with pytest.raises(SetupInvalid) as refusal:
        schema.upgrade(host.engine)

    assert str(refusal.value) == snapshot("""\
public.rollout_configuration has several rows of one feature:
feature stopped:
  id 00000000-0000-4000-8000-00000000000f, percentage 25, active true, updated 2025-02-03T00:00:00+00:00
  id 00000000-0000-4000-8000-00000000000c, percentage 50, active true, updated 2025-01-02T00:00:00+00:00
nothing was changed; keep the one that is meant and give every other another name, by its id:
  UPDATE public.rollout_configuration SET feature_name = left(feature_name, 91) || '_' || left(id::text, 8), is_active = false WHERE id = 'ID';\
""")
    assert host.value("SELECT to_regclass('rollout_schema_version')") is None
    assert columns(host, "rollout_configuration")["rollout_percentage"] == "integer"

    statement = str(refusal.value).splitlines()[-1]
    host.execute(statement.replace("ID", "00000000-0000-4000-8000-00000000000f"))
    assert schema.upgrade(host.engine).changed


REFUSALS = {
    "materialized view": (
        "CREATE MATERIALIZED VIEW totals AS SELECT sum(rollout_percentage) FROM rollout_dashboard",
        "materialized view public.totals",
    ),
    "function needed elsewhere": (
        "CREATE FUNCTION categorize_repository(repo_id uuid, anew boolean) RETURNS text"
        " LANGUAGE sql AS $$ SELECT 'small' $$;"
        "ALTER TABLE repositories ALTER COLUMN language SET DEFAULT"
        " categorize_repository('00000000-0000-4000-8000-000000000001', true)",
        "default value for column language of table public.repositories",
    ),
    "generated": (
        "ALTER TABLE rollout_metrics DROP COLUMN total_jobs; ALTER TABLE rollout_metrics ADD COLUMN"
        " total_jobs integer GENERATED ALWAYS AS (success_count + error_count) STORED",
        "public.rollout_metrics.total_jobs is generated",
    ),
    "needs a value": (
        "ALTER TABLE rollout_history ADD COLUMN ticket text;"
        "UPDATE rollout_history SET ticket = 'T-1';"
        "ALTER TABLE rollout_history ALTER COLUMN ticket SET NOT NULL",
        "public.rollout_history.ticket needs a value",
    ),
    "strategy": (
        "ALTER TABLE rollout_configuration DROP CONSTRAINT strategy_known;"
        "UPDATE rollout_configuration SET rollout_strategy = 'moon' WHERE feature_name = 'stopped'",
        "feature stopped: moon",
    ),
    "no name": (
        "ALTER TABLE rollout_configuration ALTER COLUMN feature_name DROP NOT NULL;"
        "INSERT INTO rollout_configuration (rollout_percentage) VALUES (3)",
        "rows without a feature_name",
    ),
    "no repository": (
        "INSERT INTO repository_categories (category) VALUES ('small')",
        "public.repository_categories has rows without a repository_id: 1",
    ),
    "another table": (
        "DROP TABLE rollout_history; CREATE TABLE rollout_history (action text)",
        "public.rollout_history has no column rollout_config_id",
    ),
    "view in its place": (
        "ALTER TABLE rollout_history RENAME TO past; CREATE VIEW rollout_history AS"
        " SELECT * FROM past",
        "public.rollout_history is no table",
    ),
    "ours is there": (
        "CREATE TABLE rollout_state (state text)",
        "the database has public.rollout_state already",
    ),
    "generated from the percentage": (
        "ALTER TABLE rollout_configuration ADD COLUMN share text"
        " GENERATED ALWAYS AS (rollout_percentage::text || '%') STORED",
        "rollout_percentage is integer and can't become numeric(5,2)",
    ),
    "index that compares an enum": (
        "CREATE TYPE author AS ENUM ('person', 'timer');"
        "ALTER TABLE rollout_history DROP COLUMN triggered_by;"
        "ALTER TABLE rollout_history ADD COLUMN triggered_by author;"
        "CREATE INDEX by_people ON rollout_history (created_at) WHERE triggered_by = 'person'",
        "triggered_by is public.author and can't become character varying(100)",
    ),
    "view that compares an enum": (
        "CREATE TYPE author AS ENUM ('person', 'timer');"
        "ALTER TABLE rollout_history DROP COLUMN triggered_by;"
        "ALTER TABLE rollout_history ADD COLUMN triggered_by author;"
        "CREATE VIEW by_people AS SELECT id FROM rollout_history WHERE triggered_by = 'person'",
        "does not work with the wider columns: operator does not exist",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_obstacles_are_named_and_nothing_is_changed(host: Database, case: str) -> None:
    change, message = REFUSALS[case]
    host.execute(change)
    catalogue = (
        "SELECT relname, relkind, attname, atttypid, attnotnull FROM pg_class"
        " JOIN pg_attribute ON attrelid = pg_class.oid"
        " WHERE relnamespace = 'public'::regnamespace ORDER BY 1, attnum"
    )
    before = host.rows(catalogue)

    with pytest.raises(SetupInvalid) as refusal:
        schema.upgrade(host.engine)

    assert message in str(refusal.value)
    assert "nothing was changed; " in str(refusal.value)
    assert host.rows(catalogue) == before


def test_only_the_owner_can_adopt(host: Database, role: str) -> None:
    host.execute(f"ALTER TABLE rollout_metrics OWNER TO {role}")
    other = new_role(host, "migrator")
    try:
        host.execute(f"GRANT CREATE ON SCHEMA public TO {other}")
        database = Database(f"{host.url}&options=-c%20role%3D{other}")
        with pytest.raises(SetupInvalid, match=f"public.rollout_metrics belongs to {role}"):
            schema.upgrade(database.engine)
    finally:
        drop_role(host, other)
