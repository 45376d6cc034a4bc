"""The roles: each may do its own work and nothing more."""

import psycopg
import pytest

from reconciler.database import schema
from reconciler.database.roles import apply_roles
from reconciler.database.transactions import Database as OpenedDatabase
from reconciler.errors import Refused, SetupInvalid
from reconciler.operations import safeguard
from reconciler.operations.reconcile import Permission, apply, preview
from reconciler.operations.verify import verify
from reconciler.planning.application import Application
from reconciler.planning.guard_names import Allowed, GuardName
from reconciler.planning.plan_inputs import Source
from reconciler.rollout_file import parse_rollout
from tests.builders import RepositoryRow, add_repositories
from tests.database.hosts import TOOLS, make_host
from tests.postgres import Database
from tests.site import Site

READER, WORKER, SAFEGUARD, RECONCILER = ROLES = (
    "rollout_reader",
    "rollout_worker",
    "rollout_safeguard",
    "rollout_reconciler",
)
FEATURE = "hybrid_progressive_capture"
FILE = f"""\
version: 1
features:
  {FEATURE}:
    percentage: 5
    whitelist: [acme/tools]
  another:
    strategy: repository_size
test_repositories: [acme/site]
categories:
  small: {{stars: 51}}
"""


@pytest.fixture
def granted(
    database: Database, empty_database: Database, request: pytest.FixtureRequest
) -> Database:
    """A fresh database, or one adopted from a service with row security, with granted roles."""
    chosen = database
    if request.param == "adopted":
        make_host(empty_database)
        schema.upgrade(empty_database.engine)
        chosen = empty_database
    else:
        add_repositories(database, RepositoryRow("acme/tools", id=TOOLS))
        database.execute(f"""
            INSERT INTO rollout_configuration (feature_name, rollout_percentage)
            VALUES ('{FEATURE}', 10);
            INSERT INTO rollout_history (action) VALUES ('created');
        """)
    apply_roles(OpenedDatabase.at(chosen.address))
    return chosen


def as_role(database: Database, role: str) -> Database:
    return Database(f"{database.url}&options=-c%20role%3D{role}")


def application() -> Application:
    document = parse_rollout(FILE.encode(), path="rollout.yaml")
    source = Source("rollout.yaml", document.digest, None, False, None)
    return Application(source, document.rollout, applied_by="a test")


def dry_run(database: Database) -> None:
    assert preview(OpenedDatabase.at(database.address), application()).has_changes


def apply_file(database: Database) -> None:
    allowing_all = Permission(frozenset(map(Allowed, GuardName)))
    applied = apply(OpenedDatabase.at(database.address), application(), allowing_all)
    assert not applied.plan.is_refused


def stop_and_resume(database: Database) -> None:
    opened = OpenedDatabase.at(database.address)
    safeguard.stop(opened, FEATURE, by="a test", reason="it hurts")
    assert [each.checks[0].status for each in verify(opened, [FEATURE], file=None)] == ["ok"]
    acted = safeguard.resume(opened, FEATURE, by="a test", reason="fixed")
    assert acted.act is not None


ACTS = {
    "dry run": dry_run,
    "stop and resume": stop_and_resume,
    "apply": apply_file,
}
STATEMENTS = {
    "ask who is in": f"SELECT is_repository_eligible_for_rollout('{TOOLS}', '{FEATURE}')",
    "ask for all who are in": f"SELECT * FROM eligible_repositories('{FEATURE}')",
    "explain": f"SELECT * FROM explain_repository_eligibility('{TOOLS}', '{FEATURE}')",
    "read history": "SELECT * FROM rollout_history",
    "read metrics": "SELECT * FROM rollout_metrics",
    "read overrides": "SELECT * FROM rollout_override",
    "read a service's secrets": "SELECT created_at FROM repositories",
    "record a job": f"SELECT record_rollout_job('{FEATURE}', '{TOOLS}', 'inngest', true)",
    "let go of old metrics": "SELECT prune_rollout_metrics(interval '90 days')",
    "make an override": f"""
        WITH stopped AS (
            UPDATE rollout_configuration SET rollout_percentage = 0, emergency_stop = true,
                updated_at = now() WHERE feature_name = '{FEATURE}' RETURNING id
        )
        INSERT INTO rollout_override (id, rollout_config_id, emergency_stop, reason, triggered_by)
        SELECT gen_random_uuid(), id, true, 'a test', 'a test' FROM stopped
    """,
    "end an override": "UPDATE rollout_override SET state = 'off'",
    "take a lease": "INSERT INTO rollout_lease VALUES ('a test', 'a test', now())"
    " ON CONFLICT (name) DO UPDATE SET holder = excluded.holder",
    "add to history": "INSERT INTO rollout_history (action) VALUES ('rollback')",
    "change the strategy": "UPDATE rollout_configuration SET rollout_strategy = 'percentage'",
    "change a list": "UPDATE rollout_configuration SET target_repositories = '{a/b}'",
    "categorise": "SELECT categorize_all_repositories()",
    "change history": "UPDATE rollout_history SET reason = 'another'",
    "remove from history": "DELETE FROM rollout_history",
    "empty history": "TRUNCATE rollout_history",
    "change a generation": "UPDATE rollout_generation SET file = 'another'",
    "remove a feature": "DELETE FROM rollout_configuration",
    "write keys": "INSERT INTO rollout_membership SELECT id, 'whitelist', 'a/b'"
    " FROM rollout_configuration",
    "change a repository": "UPDATE repositories SET full_name = 'a/b'",
    "let history be rewritten": "ALTER TABLE rollout_history DISABLE TRIGGER ALL",
    "make a table": "CREATE TABLE mine (id integer)",
    "drop a table": "DROP TABLE rollout_override",
    "pretend another schema": "UPDATE rollout_schema_version SET version_num = '0000'",
}
ALLOWED = {
    READER: {
        "dry run",
        "ask who is in",
        "ask for all who are in",
        "explain",
        "read history",
        "read metrics",
        "read overrides",
    },
    WORKER: {"ask who is in", "ask for all who are in", "explain", "record a job"},
    SAFEGUARD: {
        "dry run",
        "ask who is in",
        "ask for all who are in",
        "explain",
        "read history",
        "read metrics",
        "read overrides",
        "let go of old metrics",
        "make an override",
        "end an override",
        "take a lease",
        "stop and resume",
        "add to history",
    },
    RECONCILER: {
        "dry run",
        "apply",
        "ask who is in",
        "ask for all who are in",
        "explain",
        "read history",
        "read metrics",
        "read overrides",
        "make an override",
        "end an override",
        "take a lease",
        "stop and resume",
        "add to history",
        "change the strategy",
        "change a list",
        "categorise",
    },
}


@pytest.mark.parametrize("granted", ["fresh", "adopted"], indirect=True)
@pytest.mark.parametrize("role", ROLES)
def test_a_role_has_its_grants_and_no_others(granted: Database, role: str) -> None:
    may = set()
    acting = as_role(granted, role)
    for operation, statement in STATEMENTS.items():
        with acting.connect() as connection:
            try:
                connection.execute(statement.encode())
                may.add(operation)
            except psycopg.errors.InsufficientPrivilege as error:
                # The trigger is the second check; the missing grant is the first.
                if "append-only" in str(error):
                    may.add(operation)
            connection.rollback()
    for operation, act in ACTS.items():
        try:
            act(acting)
            may.add(operation)
        except SetupInvalid as error:
            assert "permission denied" in str(error)  # noqa: PT017 - `may` says which of them

    assert may == ALLOWED[role]


@pytest.mark.parametrize("granted", ["fresh"], indirect=True)
@pytest.mark.parametrize(
    ("feature", "column", "widened"),
    [
        (
            FEATURE,
            "target_repositories",
            "UPDATE rollout_configuration SET target_repositories = '{acme/tools,acme/more}'",
        ),
        (
            "another",
            "test_repositories",
            "SELECT categorize_all_repositories();"
            "UPDATE repository_categories SET is_test_repository = true",
        ),
    ],
)
def test_a_resume_that_reverts_needs_the_rights_of_an_apply(
    granted: Database, feature: str, column: str, widened: str
) -> None:
    add_repositories(granted, "acme/site", "acme/other")
    apply_file(as_role(granted, RECONCILER))
    safeguard.stop(OpenedDatabase.at(granted.address), feature, by="ada", reason="it hurts")
    granted.execute(widened)
    rows = """
        SELECT (SELECT jsonb_agg(to_jsonb(o)) FROM rollout_override AS o)::text
            || (SELECT count(*) FROM rollout_history)
    """
    before = granted.value(rows)

    with pytest.raises(Refused, match=f"^SQL widened {column} beside .* nothing was written"):
        resume(as_role(granted, SAFEGUARD), feature)

    assert granted.value(rows) == before
    assert len(resume(as_role(granted, RECONCILER), feature).reverted) == 1


def resume(database: Database, feature: str) -> safeguard.Acted:
    opened = OpenedDatabase.at(database.address)
    return safeguard.resume(opened, feature, by="ada", reason="fixed")


@pytest.mark.parametrize("granted", ["adopted"], indirect=True)
def test_a_role_sees_rows_under_row_security(granted: Database) -> None:
    for role in ROLES:
        acting = as_role(granted, role)
        assert acting.value("SELECT count(*) FROM repositories") == 3
        assert acting.value("SELECT count(*) FROM rollout_configuration") == 3
        assert acting.value("SELECT count(*) FROM rollout_membership") == 2
    assert as_role(granted, READER).value("SELECT count(*) FROM rollout_override") == 2
    safeguard = as_role(granted, SAFEGUARD)
    safeguard.execute(STATEMENTS["end an override"])
    assert granted.value("SELECT count(*) FROM rollout_override WHERE state = 'off'") == 2
    assert safeguard.value(STATEMENTS["let go of old metrics"]) == 3
    assert granted.value("SELECT count(*) FROM rollout_metrics") == 0


@pytest.mark.parametrize("granted", ["fresh"], indirect=True)
def test_only_the_roles_may_call_functions_revoked_from_public(granted: Database) -> None:
    granted.execute("REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC")

    for role in ROLES:
        as_role(granted, role).execute(STATEMENTS["ask who is in"])
        as_role(granted, role).execute(STATEMENTS["ask for all who are in"])
    as_role(granted, WORKER).execute(STATEMENTS["record a job"])
    as_role(granted, SAFEGUARD).execute(STATEMENTS["let go of old metrics"])
    as_role(granted, RECONCILER).execute(STATEMENTS["categorise"])
    apply_file(as_role(granted, RECONCILER))
    dry_run_of_nothing = as_role(granted, READER)
    assert not preview(OpenedDatabase.at(dry_run_of_nothing.address), application()).has_changes
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="record_rollout_job"):
        as_role(granted, READER).execute(STATEMENTS["record a job"])


@pytest.mark.parametrize("granted", ["fresh", "adopted"], indirect=True)
def test_granting_again_revokes_later_grants_and_changes_nothing_else(
    granted: Database,
) -> None:
    catalogue = """
        SELECT relname, relacl::text, (
            SELECT array_agg(attname || attacl::text ORDER BY attname) FROM pg_attribute
            WHERE attrelid = pg_class.oid
        ) AS columns, (
            SELECT array_agg(polname || polroles::text ORDER BY polname) FROM pg_policy
            WHERE polrelid = pg_class.oid
        ) AS policies
        FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY relname
    """
    before = granted.rows(catalogue)
    granted.execute("GRANT DELETE ON rollout_history TO rollout_worker")

    apply_roles(OpenedDatabase.at(granted.address))

    assert granted.value("SELECT has_table_privilege('rollout_worker', 'rollout_history', 'DELETE')") is False  # fmt: skip
    assert {row["relname"]: sorted(str(row)) for row in granted.rows(catalogue)} == {
        row["relname"]: sorted(str(row)) for row in before
    }


def test_a_role_cannot_log_in(database: Database) -> None:
    apply_roles(OpenedDatabase.at(database.address))
    strong = "rolcanlogin OR rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls"
    assert database.rows(
        f"SELECT {strong} AS strong FROM pg_roles WHERE rolname ~ '^rollout_'"
    ) == [{"strong": False}] * len(ROLES)


def test_the_program_prints_the_grants_and_runs_them(site: Site) -> None:
    printed = site.reconcile("db", "roles", env={"DATABASE_URL": None})
    assert printed.exit_code == 0
    assert "GRANT INSERT ON public.rollout_history TO rollout_safeguard" in printed.stdout

    applied = site.reconcile("db", "roles", "--apply")
    assert (applied.exit_code, applied.stderr) == (0, "")
    site.database.execute(printed.stdout)


def test_a_dry_run_of_the_program_needs_no_more_than_the_reader(site: Site) -> None:
    site.reconcile("db", "roles", "--apply")
    site.reconcile()
    site.replace("percentage: 10", "percentage: 25")
    reader = {"DATABASE_URL": as_role(site.database, READER).url}

    previewed = site.reconcile("--dry-run", env=reader)
    assert (previewed.exit_code, previewed.stderr) == (0, "")
    assert "percentage   10 → 25" in previewed.stdout

    refused = site.reconcile(env=reader)
    assert refused.exit_code == 1
    assert "permission denied" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
