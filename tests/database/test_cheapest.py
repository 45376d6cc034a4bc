"""The watch chooses the cheapest processors, with the rights of the safeguard alone."""

import re
from collections.abc import Iterator

import pytest

from reconciler.database.address import DatabaseAddress
from reconciler.database.roles import apply_roles
from reconciler.database.transactions import Database as OpenedDatabase
from reconciler.operations.cheapest import resolve_cheapest
from reconciler.watching.upkeep import Upkeep
from tests.builders import add_repositories
from tests.notifications import add_target, events
from tests.postgres import Database


@pytest.fixture
def safeguard(database: Database) -> Iterator[OpenedDatabase]:
    """The database as the watch opens it."""
    apply_roles(OpenedDatabase.at(database.address))
    login = f"safeguard_{database.value('SELECT current_database()')[-12:]}"
    database.execute(f"CREATE ROLE {login} LOGIN; GRANT rollout_safeguard TO {login}")
    url = re.sub(r"postgresql://[^/?]*@", "postgresql://", database.url)
    yield OpenedDatabase.at(DatabaseAddress.parse(f"{url}&user={login}"))
    database.execute(f"DROP OWNED BY {login}; DROP ROLE {login}")


def with_a_cheaper_fallback(database: Database) -> None:
    """Add a rule to the cheapest processor, and jobs of both."""
    add_repositories(database, "acme/tools")
    database.execute("""
        INSERT INTO rollout_processor (name, cost, as_of) VALUES
        ('github_actions', '{"per_minute": 0.006, "round_up": "1m"}', '2026-11-01'),
        ('inngest', '{"per_execution": 0.0001, "executions_per_job": 6}', '2026-11-01');
        INSERT INTO rollout_configuration (feature_name, rollout_percentage, routing)
        VALUES ('capture', 100, '[{"to": "cheapest"}]');
        SELECT record_rollout_job('capture', id, processor, true, 90)
        FROM repositories, generate_series(1, 200), unnest(ARRAY['github_actions', 'inngest'])
            AS processor;
    """)


def test_the_leader_chooses_the_cheapest_processor(
    database: Database, safeguard: OpenedDatabase
) -> None:
    with_a_cheaper_fallback(database)
    confirmed: list[str] = []
    upkeep = Upkeep(safeguard, None, lambda: confirmed.append("leader"))

    upkeep.run()

    assert confirmed == ["leader"]
    (choice,) = database.value("SELECT routing_choices FROM rollout_configuration")
    assert choice["processor"] == "inngest"
    assert choice["rule"] == {"to": "cheapest"}


def test_a_choice_is_a_notification(database: Database, safeguard: OpenedDatabase) -> None:
    with_a_cheaper_fallback(database)
    add_target(database, "all", "webhook")
    resolve_cheapest(safeguard)
    assert events(database) == [("rerouted", "capture")]
    (row,) = database.rows("SELECT severity, details FROM rollout_notification")
    assert row["severity"] == "info"
    assert (row["details"]["before"], row["details"]["after"]) == ("github_actions", "inngest")
