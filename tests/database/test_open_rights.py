"""The rights of other roles to write or execute objects of the rollout are reported."""

import json
from collections.abc import Iterator

import pytest

from reconciler.database import schema, schema_objects
from reconciler.database.open_rights import OpenRight, OpenRights, Unsecured, find_open_rights
from reconciler.database.roles import apply_roles, find_missing_rights
from reconciler.database.transactions import Database as OpenedDatabase
from tests.database.hosts import drop_role, make_host, new_role
from tests.postgres import Database
from tests.site import Site


@pytest.fixture
def role(database: Database) -> Iterator[str]:
    role = new_role(database, "anon")
    yield role
    drop_role(database, role)


def open_rights(database: Database, *, trusted: tuple[str, ...] = ()) -> OpenRights:
    with database.engine.connect() as connection:
        return find_open_rights(connection, trusted=trusted)


def test_nothing_of_a_new_database_is_open(database: Database) -> None:
    assert open_rights(database) == OpenRights([], [])


def test_what_a_repair_makes_again_is_closed(database: Database, role: str) -> None:
    database.execute(f"""
        ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON FUNCTIONS TO {role};
        DROP FUNCTION prune_rollout_metrics_batch(interval, integer) CASCADE;
        DROP FUNCTION record_rollout_jobs CASCADE;
        DROP FUNCTION rollout_notify CASCADE;
    """)

    schema_objects.repair(database.engine)

    assert open_rights(database) == OpenRights([], [])
    database.execute(
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON FUNCTIONS FROM {role}"
    )


def test_every_object_of_the_schema_is_looked_at(database: Database, role: str) -> None:
    for kind in ("TABLES", "SEQUENCES", "FUNCTIONS"):
        database.execute(f"GRANT ALL ON ALL {kind} IN SCHEMA public TO {role}")
    objects = {
        row["name"]
        for row in database.rows("""
            SELECT relname::text AS name FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'S')
            UNION ALL
            SELECT oid::regprocedure::text FROM pg_proc
            WHERE pronamespace = 'public'::regnamespace AND prorettype <> 'trigger'::regtype
                AND (provolatile = 'v' OR prosecdef)
        """)
    }

    found = open_rights(database)

    assert {each.name.replace("public.", "") for each in found.open} == objects
    assert {each.role for each in found.open} == {role}
    assert open_rights(database, trusted=(role,)) == OpenRights([], [])


def test_rights_on_columns_and_on_the_schema_are_reported(database: Database, role: str) -> None:
    database.execute(f"""
        GRANT UPDATE (rollout_percentage) ON rollout_configuration TO {role};
        GRANT CREATE ON SCHEMA public TO PUBLIC;
        GRANT EXECUTE ON FUNCTION categorize_all_repositories() TO PUBLIC;
        GRANT SELECT ON rollout_configuration TO PUBLIC;
    """)

    found = open_rights(database)

    assert {(each.role, each.kind, each.name, *each.rights) for each in found.open} == {
        ("PUBLIC", "function", "public.categorize_all_repositories()", "EXECUTE"),
        ("PUBLIC", "schema", "public", "CREATE"),
        (role, "table", "public.rollout_configuration", "UPDATE (rollout_percentage)"),
    }


def test_rows_that_a_service_hides_are_shown_nowhere(empty_database: Database) -> None:
    make_host(empty_database)
    role = new_role(empty_database, "anon")
    try:
        empty_database.execute(
            f"GRANT SELECT ON repositories, rollout_configuration, pull_requests TO {role};"
            f"GRANT INSERT ON repositories TO {role}"
        )
        schema.upgrade(empty_database.engine)
        adopted = open_rights(empty_database)

        empty_database.execute("""
            ALTER TABLE rollout_metrics DISABLE ROW LEVEL SECURITY;
            CREATE OR REPLACE VIEW repository_activity AS
            SELECT id AS repository_id, 1 AS stars, 1 AS contributors, 1 AS pull_requests
            FROM repositories;
        """)
        opened = open_rights(empty_database)
    finally:
        drop_role(empty_database, role)

    # Its own table is the service's business, and reading is not writing.
    assert [each for each in adopted.open if each.kind != "function"] == []
    assert adopted.unsecured == []
    assert opened.unsecured == [
        Unsecured("table", "public.rollout_metrics"),
        Unsecured("view", "public.repository_activity"),
    ]


def test_what_a_role_of_an_older_release_lacks_is_named(site: Site) -> None:
    none = site.reconcile("db", "status", "--format", "json")
    site.reconcile("db", "roles", "--apply")
    granted = site.reconcile("db", "roles", "--check")
    site.database.execute("""
        REVOKE EXECUTE ON FUNCTION record_rollout_jobs FROM rollout_worker;
        REVOKE SELECT ON rollout_notification FROM rollout_reader;
        REVOKE UPDATE (emergency_stop) ON rollout_configuration FROM rollout_safeguard;
    """)

    checked = site.reconcile("db", "roles", "--check")
    status = site.reconcile("db", "status", "--format", "json")
    site.reconcile("db", "roles", "--apply")
    repaired = site.reconcile("db", "status", "--format", "json")

    assert json.loads(none.stdout)["rights"] is None
    assert (granted.stdout, granted.exit_code) == ("nothing is open to other roles\n", 0)
    assert checked.exit_code == 1
    assert checked.stdout.splitlines() == [
        "missing for rollout_worker: function public.record_rollout_jobs(text,uuid[],text[],boolean[],"
        "double precision[],text[],text[],bigint[]): EXECUTE",
        "missing for rollout_safeguard: table public.rollout_configuration: UPDATE (emergency_stop)",
        "missing for rollout_reader: table public.rollout_notification: SELECT",
        "to grant the missing rights, run: reconcile db roles --apply",
    ]
    assert status.exit_code == 1
    assert json.loads(status.stdout)["rights"] == (
        "rollout_reader lacks 1 right, rollout_safeguard lacks 1 right, rollout_worker lacks 1 right;"
        " run: reconcile db roles --apply"
    )
    assert json.loads(repaired.stdout)["rights"] is None


def test_a_missing_policy_is_named_and_only_the_owner_can_know(empty_database: Database) -> None:
    make_host(empty_database)
    schema.upgrade(empty_database.engine)
    opened = OpenedDatabase.at(empty_database.address)
    apply_roles(opened)
    assert find_missing_rights(opened) == []
    empty_database.execute("DROP POLICY rollout_roles_insert ON rollout_history")

    assert find_missing_rights(opened) == [
        OpenRight("policy", "public.rollout_history", "rollout_reconciler", ["INSERT"]),
        OpenRight("policy", "public.rollout_history", "rollout_safeguard", ["INSERT"]),
    ]
    reader = Database(f"{empty_database.url}&options=-c%20role%3Drollout_reader")
    assert find_missing_rights(OpenedDatabase.at(reader.address)) is None


def test_the_program_reports_open_rights(site: Site, role: str) -> None:
    closed = site.reconcile("db", "roles", "--check")
    site.database.execute(f"GRANT UPDATE, DELETE ON rollout_configuration TO {role}")
    line = f"open to {role}: table public.rollout_configuration: DELETE, UPDATE\n"

    opened = site.reconcile("db", "roles", "--check")
    as_json = site.reconcile("db", "roles", "--check", "--format", "json")
    trusted = site.reconcile("db", "roles", "--check", "--trust", role)
    printed = site.reconcile("db", "roles")
    applied = site.reconcile("db", "roles", "--apply")
    offline = site.reconcile("db", "roles", env={"DATABASE_URL": "postgresql://127.0.0.1:1/x"})
    both = site.reconcile("db", "roles", "--apply", "--check")

    assert (closed.stdout, closed.exit_code) == ("nothing is open to other roles\n", 0)
    assert (opened.stdout, opened.exit_code) == (line, 1)
    assert as_json.exit_code == 1
    assert json.loads(as_json.stdout) == {
        "open": [
            {
                "kind": "table",
                "name": "public.rollout_configuration",
                "role": role,
                "rights": ["DELETE", "UPDATE"],
            }
        ],
        "unsecured": [],
        "missing": [],
    }
    assert (trusted.stdout, trusted.exit_code) == ("nothing is open to other roles\n", 0)
    assert (printed.stderr, printed.exit_code) == (line, 0)
    assert (applied.stderr, applied.exit_code) == (line, 0)
    assert offline.stdout == printed.stdout
    assert offline.exit_code == 0
    assert offline.stderr.startswith("the rights of other roles cannot be read: ")
    assert both.exit_code == 64
