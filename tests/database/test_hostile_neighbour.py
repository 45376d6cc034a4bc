"""All attacks of a login at once, on each server: it may create objects in `public`, and a platform gives it rights."""

import pytest

from reconciler.database import schema
from tests.database.conftest import NewDatabase
from tests.database.hosts import drop_role, make_host, new_role
from tests.database.role_matrix import FUNCTIONS, TABLES, is_allowed, rights
from tests.database.test_hostile_names import plant, used
from tests.database.test_locks import lock_all, write
from tests.postgres import Database

OF_A_SERVICE = "SELECT name FROM rollout_adopted_object WHERE kind IN ('table', 'view')"
OWN_FUNCTIONS = (
    *("record_rollout_job", "prune_", "categorize_all", "add_rollout_jobs"),
    *("check_rollout_processor", "start_rollout_job", "end_rollout_job", "record_rollout_starts"),
    "forget_rollout_starts",
)


@pytest.mark.parametrize("hosted", [False, True], ids=["empty", "service"])
def test_a_neighbour_with_every_trick_changes_nothing(
    new_database: NewDatabase, hosted: bool
) -> None:
    with new_database(template="template0") as database:
        role = new_role(database, "neighbour")
        try:
            database.execute(f"GRANT CREATE ON SCHEMA public TO PUBLIC; ALTER ROLE {role} LOGIN")
            if hosted:
                make_host(database)
            for what in ("TABLES", "FUNCTIONS", "SEQUENCES"):
                database.execute(
                    f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON {what} TO {role}"
                )
            attack(database, Database(f"{database.url}&user={role}".replace("postgres@", "")))
        finally:
            drop_role(database, role)


def attack(database: Database, neighbour: Database) -> None:
    """Plant operators and functions, hold every lock, and try every right; writers go on."""
    plant(neighbour)
    schema.upgrade(database.engine, accept_audience_change=True)
    waits: list[str] = []
    with neighbour.connect() as session:
        lock_all(session)
        # The neighbour's own table is not the rollout's.
        write(database, waits)
        session.rollback()

        of_a_service = {row["name"] for row in database.rows(OF_A_SERVICE)}
        own = [row["relname"] for row in database.rows(TABLES)]
        found = {
            each: rights(session, each, [])
            for each in own
            if each not in of_a_service and each != "used"
        }
        with database.connect() as catalog:
            calls = catalog.execute(FUNCTIONS.replace("%%", "%").encode()).fetchall()
        allowed = {
            name
            for name, call in calls
            if name.startswith(OWN_FUNCTIONS) and is_allowed(session, call)
        }

    assert waits == []
    assert used(database) == []
    assert {name: right for name, right in found.items() if right != "-"} == {}
    assert allowed == set()
    assert database.value("SELECT bool_or(emergency_stop) FROM rollout_configuration") is True
