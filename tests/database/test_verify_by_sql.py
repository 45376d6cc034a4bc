"""`verify` after changes by SQL: the eligible repositories of services, and the time of the change."""

import pytest

from reconciler.database.transactions import Database as OpenedDatabase
from reconciler.operations.verify import verify
from tests.postgres import Database
from tests.site import Site

FEATURE = "hybrid_progressive_capture"
BREAK_GLASS = f"""
    UPDATE rollout_configuration SET rollout_percentage = 0 WHERE feature_name = '{FEATURE}'
"""


@pytest.fixture
def applied(site: Site, database: Database) -> Site:
    """40 repositories of one owner, and an applied file."""
    database.execute("""
        INSERT INTO repositories (id, owner, name, full_name)
        SELECT gen_random_uuid(), 'acme', 'r' || n, 'acme/r' || n FROM generate_series(1, 40) AS n
    """)
    assert site.reconcile("--yes").exit_code == 0
    return site


def check(database: Database, name: str) -> str:
    (verification,) = verify(OpenedDatabase.at(database.address), [FEATURE], file=None)
    (found,) = [each for each in verification.checks if each.name == name]
    return str(found.status)


def test_owners_whitelisted_by_sql_fail_the_check_of_a_limit(
    applied: Site, database: Database
) -> None:
    stopped = applied.reconcile("rollback", "--to", "0", "--reason", "test", "--no-write-back")
    assert stopped.exit_code == 0, stopped
    assert check(database, "eligibility") == "ok"

    database.execute("UPDATE rollout_configuration SET target_repositories = '{acme/*}'")
    assert check(database, "eligibility") == "failed"


def test_a_limit_by_sql_has_its_time_without_updated_at(database: Database, applied: Site) -> None:
    database.execute("UPDATE rollout_configuration SET updated_at = now() - interval '3 days'")
    database.execute(BREAK_GLASS)
    assert database.value(
        "SELECT updated_at > now() - interval '1 minute' FROM rollout_configuration"
    )


def test_a_time_given_with_the_change_stays(database: Database, applied: Site) -> None:
    database.execute(
        "UPDATE rollout_configuration SET rollout_percentage = 0, updated_at = '2026-01-01 00:00Z'"
    )
    assert database.value("SELECT updated_at = '2026-01-01 00:00Z' FROM rollout_configuration")
