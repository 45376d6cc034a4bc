"""The audience of an adopted service before and after: not one repository moves."""

import threading
from typing import Any

import psycopg
import pytest

from reconciler.database import schema, schema_objects
from reconciler.errors import SetupInvalid, Unavailable
from tests.database.hosts import drop_role, make_host, new_role
from tests.eventually import eventually
from tests.postgres import Database

ELIGIBLE = """
    SELECT feature_name, full_name FROM rollout_configuration, repositories
    WHERE is_repository_eligible_for_rollout(repositories.id, feature_name)
"""
SIGNED_HASH = (
    "abs(hashtext(repo_id::text)) % 100 < config",
    "hashtext(repo_id::text) % 100 < config",
)


def make_service(database: Database, *, repositories: int = 400) -> None:
    """Give a database a service's tables, repositories of every size, and a feature at 10 percent."""
    make_host(database, rows=False)
    database.execute(f"""
        INSERT INTO repositories (id, github_id, owner, name, full_name, stargazers_count)
        SELECT md5('r' || n)::uuid, n, 'acme', 'r' || n, 'acme/r' || n, n % 60 * n
        FROM generate_series(1, {repositories}) AS n;
        INSERT INTO repository_categories (repository_id, category, is_test_repository)
        SELECT id, (ARRAY['test', 'small', 'medium', 'large', 'enterprise'])[1 + github_id % 5],
            github_id % 5 = 0
        FROM repositories;
        INSERT INTO rollout_configuration (feature_name, rollout_percentage, target_repositories)
        VALUES ('capture', 10, ARRAY(SELECT id::text FROM repositories WHERE name IN ('r1', 'r2')));
    """)


def replace_in_function(database: Database, before: str, after: str) -> None:
    """Change one part of the service's own function."""
    definition = database.value(
        "SELECT pg_get_functiondef('is_repository_eligible_for_rollout(uuid, varchar)'::regprocedure)"
    )
    assert before in definition
    database.execute(definition.replace(before, after))


def audience(database: Database) -> set[tuple[str, str]]:
    return {(row["feature_name"], row["full_name"]) for row in database.rows(ELIGIBLE)}


@pytest.fixture
def service(empty_database: Database) -> Database:
    make_service(empty_database)
    return empty_database


def test_the_audience_of_a_hashtext_service_is_the_same_after(service: Database) -> None:
    before = audience(service)

    done = schema.upgrade(service.engine)

    assert len(before) > 20
    assert audience(service) == before
    assert service.value("SELECT bucketing FROM rollout_configuration") == "hashtext"
    assert done.adoption is not None
    (feature,) = done.adoption.features
    assert (feature.before, feature.after) == (len(before), len(before))
    assert (feature.gained, feature.lost) == ((), ())


def test_repositories_that_a_signed_hash_let_in_are_listed_as_losing(service: Database) -> None:
    replace_in_function(service, *SIGNED_HASH)
    before = audience(service)

    done = schema.upgrade(service.engine)

    assert done.adoption is not None
    (feature,) = done.adoption.features
    assert len(before) > 200
    assert audience(service) < before
    assert {("capture", name) for name in feature.lost} == before - audience(service)


def test_a_wrong_step_of_the_service_is_listed_as_losing(service: Database) -> None:
    service.execute("UPDATE rollout_configuration SET rollout_strategy = 'repository_size',"
                    " rollout_percentage = 5")  # fmt: skip
    replace_in_function(
        service, "config.rollout_percentage >= 100", "config.rollout_percentage >= 5"
    )

    done = schema.upgrade(service.engine)

    assert done.adoption is not None
    (feature,) = done.adoption.features
    assert (feature.before, feature.after, len(feature.lost)) == (400, 2, 398)


def test_an_adoption_by_which_one_gains_is_refused(service: Database) -> None:
    replace_in_function(
        service, "RETURN abs(hashtext", "RETURN repo_id::text < '8' AND abs(hashtext"
    )
    before = audience(service)

    with pytest.raises(schema.AudienceWouldChange, match="would gain capture") as refusal:
        schema.upgrade(service.engine)

    assert refusal.value.adoption.features[0].gained
    assert refusal.value.exit_code == 3
    assert audience(service) == before
    assert service.value("SELECT to_regclass('rollout_state')") is None

    assert schema.upgrade(service.engine, accept_audience_change=True).changed
    assert audience(service) > before


def test_a_dry_run_finds_the_same_and_writes_nothing(service: Database) -> None:
    catalogue = (
        "SELECT relname, relfilenode FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    )
    before = service.rows(catalogue)

    dry = schema.upgrade(service.engine, dry_run=True)

    assert service.rows(catalogue) == before
    assert dry == schema.upgrade(service.engine)


def test_an_unknown_hash_in_the_services_code_is_not_guessed(service: Database) -> None:
    service.execute("DROP FUNCTION is_repository_eligible_for_rollout CASCADE")

    with pytest.raises(schema.AudienceWouldChange) as refusal:
        schema.upgrade(service.engine)

    assert refusal.value.adoption.features[0].before is None
    assert "cannot be compared" in refusal.value.adoption.notes[0]


def test_a_function_that_fails_lets_in_nothing_and_says_so(service: Database) -> None:
    replace_in_function(
        service, "RETURN abs(hashtext",
        "PERFORM contributors_count FROM repositories_of_old; RETURN abs(hashtext",
    )  # fmt: skip

    with pytest.raises(schema.AudienceWouldChange) as refusal:
        schema.upgrade(service.engine)

    (feature,) = refusal.value.adoption.features
    assert feature.before == 2
    assert "repositories_of_old" in str(feature.failure)


def test_a_metric_that_the_service_lacks_counts_as_zero(service: Database) -> None:
    service.execute("ALTER TABLE repositories DROP COLUMN contributors_count")

    done = schema.upgrade(service.engine)

    assert done.adoption is not None
    assert done.adoption.notes == (
        "public.repositories has no column contributors_count: it counts as 0",
    )
    assert service.value("SELECT max(contributors) FROM repository_activity") == 0
    assert service.value("SELECT categorize_all_repositories()") == 400


def test_a_view_that_the_service_redefined_survives_repair(service: Database) -> None:
    schema.upgrade(service.engine)
    service.execute("""
        CREATE OR REPLACE VIEW repository_activity AS
        SELECT id AS repository_id, 7 AS stars, 8 AS contributors, 9 AS pull_requests
        FROM repositories
    """)
    service.execute("ALTER TABLE repository_categories DISABLE TRIGGER keep_test_mark")

    assert schema_objects.repair(service.engine) == [
        "trigger keep_test_mark on public.repository_categories is not the one of the schema"
    ]

    assert service.value("SELECT max(stars) FROM repository_activity") == 7
    assert schema_objects.repair(service.engine) == []


def test_the_holder_of_the_tables_is_named_after_some_tries(
    service: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "LOCK_TRIES", 2)
    with service.connect() as reader:
        reader.execute("SELECT count(*) FROM rollout_configuration")
        pid = reader.info.backend_pid

        with pytest.raises(Unavailable, match=f"process {pid} .*idle in transaction"):
            schema.upgrade(service.engine)

        assert service.value("SELECT to_regclass('rollout_state')") is None
    assert schema.upgrade(service.engine).changed


def test_calls_of_the_service_go_on_while_an_upgrade_waits(service: Database) -> None:
    waiting = """
        SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'
            AND relation = 'rollout_configuration'::regclass
    """
    with service.connect() as reader:
        reader.execute("SELECT count(*) FROM rollout_configuration")
        upgrading = threading.Thread(target=lambda: schema.upgrade(service.engine))
        upgrading.start()
        eventually(lambda: service.value(waiting) == 1)
        # The service's call waits behind the upgrade, and then completes although the reader
        # continues.
        service.execute("SELECT count(*) FROM rollout_configuration")
        assert service.value("SELECT to_regclass('rollout_state')") is None
    upgrading.join(timeout=60)
    assert service.value("SELECT to_regclass('rollout_state')::text") == "rollout_state"


def test_a_deploy_that_replaces_our_function_again_is_found(service: Database) -> None:
    definition = service.value(
        "SELECT pg_get_functiondef('is_repository_eligible_for_rollout(uuid, varchar)'::regprocedure)"
    )
    schema.upgrade(service.engine)
    service.execute("UPDATE rollout_configuration SET rollout_percentage = 0")
    right = audience(service)
    service.execute(definition.replace("< config.rollout_percentage", "< 30"))
    assert audience(service) != right

    with service.engine.connect() as connection, pytest.raises(SetupInvalid) as found:
        schema_objects.require_own_objects(connection)
    assert str(found.value) == (
        "function public.is_repository_eligible_for_rollout(uuid,character varying) is not the one of"
        " the schema; run: reconcile db upgrade --repair"
    )

    schema_objects.repair(service.engine)
    assert audience(service) == right
    with service.engine.connect() as connection:
        schema_objects.require_own_objects(connection)


def test_a_second_function_of_the_same_name_is_found_and_dropped(service: Database) -> None:
    schema.upgrade(service.engine)
    service.execute(
        "CREATE FUNCTION is_repository_eligible_for_rollout(uuid, text, boolean) RETURNS boolean"
        " LANGUAGE sql AS 'SELECT true'"
    )

    assert schema_objects.repair(service.engine) == [
        "function public.is_repository_eligible_for_rollout(uuid,text,boolean) does not belong to"
        " the schema"
    ]
    assert schema_objects.repair(service.engine) == []


def test_a_mark_by_one_statement_outlives_categorising(service: Database) -> None:
    mark = """
        INSERT INTO repository_categories (repository_id, category, is_test_repository, priority_level)
        SELECT id, 'test', true, 100 FROM repositories WHERE name = '{name}'
        ON CONFLICT (repository_id) DO UPDATE SET category = excluded.category,
            is_test_repository = excluded.is_test_repository, priority_level = excluded.priority_level
    """
    service.execute(mark.format(name="r59"))
    schema.upgrade(service.engine)
    service.execute(mark.format(name="r119"))

    service.execute("SELECT categorize_all_repositories()")

    marked = "SELECT name FROM repositories JOIN repository_categories ON repository_id = repositories.id"
    assert {"r59", "r119"} <= {
        row["name"] for row in service.rows(f"{marked} WHERE marked_as_test AND is_test_repository")
    }


@pytest.mark.parametrize(
    ("eligible", "others", "expected"),
    [
        ((), (), ("github_actions", "inngest")),
        (("batch",), ("queue",), ("batch", "queue")),
        (("batch", "inngest"), ("inngest",), ("batch", "inngest")),
        (("github_actions", "batch"), ("batch", "queue"), ("github_actions", "batch")),
        ((), ("queue",), ("github_actions", "queue")),
    ],
)
def test_adoption_names_the_processors_of_the_metrics(
    service: Database,
    eligible: tuple[str, ...],
    others: tuple[str, ...],
    expected: tuple[str, str],
) -> None:
    """r1 is eligible by the whitelist; r3 is not eligible."""
    for repository, processors in (("r1", eligible), ("r3", others)):
        for position, processor in enumerate(processors):
            service.execute(
                """
                INSERT INTO rollout_metrics (rollout_config_id, repository_id, processor_type,
                    success_count, error_count, total_jobs, metrics_window_start, metrics_window_end)
                SELECT configuration.id, repositories.id, %(processor)s, %(jobs)s, 0, %(jobs)s,
                    now() - interval '1 hour', now()
                FROM rollout_configuration AS configuration, repositories WHERE name = %(name)s
                """,
                processor=processor,
                jobs=10 - position,
                name=repository,
            )

    schema.upgrade(service.engine)

    row = service.rows("SELECT processor, fallback, health_method FROM rollout_configuration")[0]
    assert (row["processor"], row["fallback"]) == expected
    assert row["health_method"] == "threshold"


def test_the_service_goes_on_writing_rows_of_metrics(service: Database) -> None:
    schema.upgrade(service.engine)
    insert = """
        INSERT INTO rollout_metrics (rollout_config_id, repository_id, processor_type, success_count,
            error_count, total_jobs, metrics_window_start, metrics_window_end)
        SELECT configuration.id, repositories.id, 'inngest', 1, 0, 1, {begin}, {end}
        FROM rollout_configuration AS configuration, repositories WHERE name = 'r1'
    """
    rows = (
        ("now()", "null"),
        ("'2026-01-01 10:00Z'", "null"),
        ("now() - interval '24 hours'", "now()"),
        ("date_trunc('hour', now())", "date_trunc('hour', now()) + interval '1 hour'"),
    )
    for begin, end in rows * 2:
        service.execute(insert.format(begin=begin, end=end))
    service.execute(
        "SELECT record_rollout_job('capture', id, 'inngest', true) FROM repositories WHERE name = 'r1'"
    )

    counted = """
        SELECT sum(total_jobs) FROM rollout_configuration AS configuration,
            rollout_metrics_since(configuration.id, now() - interval '{since}', {cut})
    """
    assert service.value(counted.format(since="24 hours", cut="null")) == 9
    # A row counts from the time it was written, also right after a resume.
    assert service.value(counted.format(since="10 minutes", cut="now() - interval '1 minute'")) >= 6


@pytest.mark.parametrize("secured", [True, False])
def test_hidden_repositories_stay_hidden(service: Database, *, secured: bool) -> None:
    role = new_role(service, "anon")
    try:
        service.execute(
            f"GRANT SELECT ON repositories, rollout_configuration, pull_requests TO {role}"
        )
        if secured:
            service.execute("""
                DROP POLICY "Public read repositories" ON repositories;
                CREATE POLICY own ON repositories FOR SELECT USING (name < 'r2');
            """)
        visible = as_role(service, role, "SELECT count(*) FROM repositories")
        schema.upgrade(service.engine)
        assert as_role(service, role, "SELECT count(*) FROM repository_activity") == visible
    finally:
        drop_role(service, role)


def test_default_privileges_open_nothing_in_an_empty_database(empty_database: Database) -> None:
    role = new_role(empty_database, "anon")
    try:
        for kind in ("TABLES", "FUNCTIONS", "SEQUENCES"):
            empty_database.execute(
                f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON {kind} TO {role}"
            )
        schema.upgrade(empty_database.engine)

        assert (
            empty_database.rows(f"""
            SELECT oid::regclass::text AS open FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'S')
                AND has_table_privilege('{role}', oid, 'SELECT, INSERT, UPDATE, DELETE')
            UNION ALL
            SELECT oid::regprocedure::text FROM pg_proc
            WHERE pronamespace = 'public'::regnamespace AND has_function_privilege('{role}', oid, 'EXECUTE')
        """)
            == []
        )
    finally:
        drop_role(empty_database, role)


def as_role(database: Database, role: str, sql: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database.url) as connection:
        connection.execute(f"SET ROLE {role}".encode())
        return connection.execute(sql.encode()).fetchall()
