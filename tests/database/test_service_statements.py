"""Every statement of a service's code and consoles does the same before and after adoption."""

from collections.abc import Iterator

import pytest

from reconciler.database import schema
from tests.database.conftest import NewDatabase
from tests.database.services import STATEMENTS, Effect, Service
from tests.postgres import Database

CATEGORIZING = (
    "SELECT categorize_repository(repo_id => md5('service repository 18')::uuid)",
    "SELECT * FROM categorize_repository(md5('service repository 40')::uuid)",
    "SELECT categorize_repository(id) FROM repositories WHERE github_id BETWEEN 21 AND 24",
)


@pytest.fixture(scope="module")
def service(new_database: NewDatabase) -> Iterator[Service]:
    """A service's database, as it is before."""
    with new_database(template="template0") as database, Service.make(database) as service:
        yield service


@pytest.fixture(scope="module")
def adopted(service: Service, new_database: NewDatabase) -> Iterator[Database]:
    """A copy of it that was adopted."""
    name = service.database.value("SELECT current_database()")
    with new_database(template=name) as copy:
        schema.upgrade(copy.engine)
        yield copy


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_does_the_same_after_adoption(
    name: str, service: Service, adopted: Database
) -> None:
    before = service.effect(name, service.database)

    after = service.effect(name, adopted)

    assert after == before


def test_the_statements_show_and_change_something(service: Service) -> None:
    effects = {name: service.effect(name, service.database) for name in STATEMENTS}
    without = {
        name
        for name, each in effects.items()
        if each.error is None and not (each.returned or each.changed_from or each.changed_to)
    }

    # Row security hides the rows from this role.
    assert without == {"anon_write_the_configuration"}
    assert {name: each.error for name, each in effects.items() if each.error} == {
        "anon_write_metrics": "42501",
        "refuse_a_percentage_above_one_hundred": "23514",
    }


RECORDS = (
    "SELECT record_rollout_job('by_size', id, 'inngest', false) FROM repositories LIMIT 1",
    "SELECT record_rollout_jobs('by_size', ARRAY[id], ARRAY['inngest'], ARRAY[false], ARRAY[1.0],"
    " ARRAY[NULL], ARRAY[NULL], ARRAY[NULL::bigint]) FROM repositories LIMIT 1",
    "SELECT claim_rollout_write(gen_random_uuid(), 1, interval '1 hour')",
)


@pytest.mark.parametrize("call", RECORDS)
def test_a_role_that_row_security_refuses_records_no_jobs(
    call: str, service: Service, adopted: Database
) -> None:
    """A visitor of the platform has every grant on the metrics, but no policy."""
    assert service.effect_of(call, service.anon, adopted).error == "42501"
    assert service.effect_of(call, service.login, adopted).error is None


@pytest.mark.parametrize("call", CATEGORIZING)
def test_a_call_that_categorizes_writes_the_same(call: str, new_database: NewDatabase) -> None:
    with new_database(template="template0") as database, Service.make(database) as service:
        # The service's own function fails without this column.
        database.execute("ALTER TABLE repositories ADD COLUMN contributors_count integer DEFAULT 2")
        name = database.value("SELECT current_database()")
        with new_database(template=name) as copy:
            schema.upgrade(copy.engine)
            before = service.effect_of(call, service.login, database)
            after = service.effect_of(call, service.login, copy)

    def recorded(effect: Effect) -> list[dict[str, object]]:
        # The rollout computes the activity too; the service left it at 0.
        return [
            {name: each for name, each in row.items() if name != "monthly_activity_score"}
            for row in effect.changed_to
        ]

    assert before.error is None
    assert before.changed_to
    assert (after.error, after.returned, recorded(after)) == (
        None,
        before.returned,
        recorded(before),
    )


def test_a_call_that_failed_categorizes_after_adoption(service: Service, adopted: Database) -> None:
    before = service.effect_of(CATEGORIZING[0], service.login, service.database)

    after = service.effect_of(CATEGORIZING[0], service.login, adopted)

    assert before.error == "42703"
    assert after.returned == [{"categorize_repository": "medium"}]
    assert [row["category"] for row in after.changed_to] == ["medium"]
