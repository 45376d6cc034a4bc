"""Rows and views of a service that are not as the rollout has them, before and after an adoption."""

from reconciler.database import schema, schema_objects
from reconciler.database.removal import remove
from tests.database.hosts import TOOLS, drop_role, make_host, new_role
from tests.database.test_older_revisions import migrate_to
from tests.postgres import Database

FEATURE = "hybrid_progressive_capture"
WITHOUT_A_REPOSITORY = f"""
    INSERT INTO rollout_metrics (
        rollout_config_id, processor_type, error_count, total_jobs, metrics_window_end
    )
    SELECT id, 'inngest', 1, 4, now() FROM rollout_configuration WHERE feature_name = '{FEATURE}'
"""
WITHOUT_A_FEATURE = f"""
    INSERT INTO rollout_metrics (repository_id, processor_type, total_jobs, metrics_window_end)
    VALUES ('{TOOLS}', 'inngest', 4, now())
"""
COUNTED = f"""
    SELECT sum(jobs)::integer FROM rollout_metrics_rollup AS rollup
    JOIN rollout_configuration AS configuration ON configuration.id = rollup.rollout_config_id
    WHERE feature_name = '{FEATURE}'
"""
VIEW = """
    CREATE OR REPLACE VIEW repository_activity AS
    SELECT id AS repository_id, 1 AS stars, 1 AS contributors, 1 AS pull_requests FROM repositories
"""


def use(service: Database) -> None:
    """Write, change and delete jobs of no one repository, and of no feature."""
    service.execute(WITHOUT_A_REPOSITORY)
    service.execute(WITHOUT_A_FEATURE)
    service.execute("UPDATE rollout_metrics SET total_jobs = 5 WHERE repository_id IS NULL")
    service.execute("UPDATE rollout_metrics SET total_jobs = 5 WHERE rollout_config_id IS NULL")
    service.execute("DELETE FROM rollout_metrics WHERE rollout_config_id IS NULL")


def test_jobs_of_no_repository_and_of_no_feature_go_on(empty_database: Database) -> None:
    service = empty_database
    make_host(service)
    service.execute("DELETE FROM rollout_metrics")
    use(service)
    service.execute(WITHOUT_A_FEATURE)
    schema.upgrade(service.engine)
    before = service.value(COUNTED)

    use(service)

    # Another row, and both have one job more than they were written with.
    assert (before, service.value(COUNTED)) == (5, 10)
    assert service.value("SELECT count(*) FROM rollout_metrics WHERE repository_id IS NULL") == 2
    remove(service.engine)
    use(service)


def test_an_older_adoption_allows_them_again(empty_database: Database) -> None:
    service = empty_database
    make_host(service)
    migrate_to(service, "0011")
    # As those releases left it.
    service.execute("""
        DELETE FROM rollout_metrics WHERE repository_id IS NULL OR rollout_config_id IS NULL;
        ALTER TABLE rollout_metrics ALTER repository_id SET NOT NULL, ALTER rollout_config_id SET NOT NULL;
    """)

    schema.upgrade(service.engine)

    use(service)


def test_a_view_that_begins_to_show_hidden_rows_is_found(empty_database: Database) -> None:
    service = empty_database
    make_host(service)
    reader = new_role(service, "reader")
    try:
        service.execute(
            f"GRANT SELECT ON repositories, rollout_configuration, pull_requests TO {reader}"
        )
        schema.upgrade(service.engine)
        with service.engine.connect() as connection:
            assert schema_objects.find_differences(connection) == []
        service.execute(VIEW)

        found = schema_objects.repair(service.engine)

        assert found == ["view public.repository_activity shows rows that the service hides"]
        assert schema_objects.repair(service.engine) == []
        # Its definition is the service's own.
        assert service.value("SELECT max(stars) FROM repository_activity") == 1
    finally:
        drop_role(service, reader)


def test_a_view_of_the_service_keeps_its_options(empty_database: Database) -> None:
    service = empty_database
    make_host(service)
    options = "SELECT reloptions FROM pg_class WHERE relname = 'percentages'"
    service.execute("""
        CREATE VIEW percentages WITH (security_invoker = true, security_barrier = true) AS
        SELECT feature_name, rollout_percentage FROM rollout_configuration
    """)
    before = service.value(options)

    schema.upgrade(service.engine)
    adopted = service.value(options)
    remove(service.engine)

    assert before == adopted == service.value(options)
