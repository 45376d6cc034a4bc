"""A service's database from its adoption to its leaving: not one repository moves but for the fault's."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.cli.render.text import WIDTH
from reconciler.database import schema
from tests.database.conftest import NewDatabase
from tests.database.services import STATEMENTS, Service
from tests.database.test_removal import CATALOGUE
from tests.postgres import Database
from tests.site import Site

AUDIENCE = """
    SELECT feature_name, full_name FROM rollout_configuration, repositories
    WHERE is_repository_eligible_for_rollout(repositories.id, feature_name)
"""
FAULT = """
    -- Of the eligible repositories those that are not so without the sign of their hash.
    SELECT feature_name, full_name FROM rollout_configuration, repositories
    WHERE rollout_strategy = 'percentage'
        AND abs(hashtext(repositories.id::text) % 100) >= rollout_percentage
        AND repositories.id::text <> ALL (target_repositories)
"""


def pairs(database: Database, query: str) -> set[tuple[str, str]]:
    return {(row["feature_name"], row["full_name"]) for row in database.rows(query)}


@pytest.fixture
def service(new_database: NewDatabase) -> Iterator[Service]:
    with new_database(template="template0") as database, Service.make(database) as service:
        yield service


@pytest.fixture
def service_site(service: Service, tmp_path: Path) -> Iterator[Site]:
    site = Site.make(tmp_path, service.database)
    yield site
    site.end()


def test_a_service_is_adopted_used_and_left(
    service: Service, service_site: Site, new_database: NewDatabase
) -> None:
    site, database = service_site, service.database

    def run(*arguments: str, exit_code: int = 0) -> str:
        done = site.reconcile(*arguments)
        assert done.exit_code == exit_code, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def catalogue() -> list[dict[str, Any]]:
        return database.rows(CATALOGUE)

    eligible, fault = pairs(database, AUDIENCE), pairs(database, FAULT)
    objects, rows = catalogue(), contents(database)
    with new_database(template=database.value("SELECT current_database()")) as untouched:
        effects = {name: service.effect(name, untouched) for name in STATEMENTS}

    lost = eligible & fault

    # The dry run names who loses and who gains, and writes nothing.
    shown = run("db", "upgrade", "--dry-run")
    assert (catalogue(), contents(database)) == (objects, rows)
    assert f"dark_launch   {count(eligible, 'dark_launch')} → 0 of 400 repositories" in shown
    assert "by_size   47 → 47 of 400 repositories   +0 gain   −0 lose" in shown
    assert shown.endswith("nothing was written\n")
    assert max(map(len, shown.splitlines())) <= WIDTH
    found = json.loads(run("db", "upgrade", "--dry-run", "--format", "json"))
    by_name = {each["name"]: each for each in found["adoption"]["features"]}
    assert {("dark_launch", name) for name in by_name["dark_launch"]["lost"]} == {
        each for each in lost if each[0] == "dark_launch"
    }

    # Not one repository moves but for the fault's.
    assert f"−{count(lost, 'dark_launch')} lose" in run("db", "upgrade")
    assert pairs(database, AUDIENCE) == eligible - lost
    assert len(eligible - lost) > 80

    # The file says what is live.
    run("import", "--output", "rollout.yaml", "--force")
    assert site.file.read_text().count("bucketing: hashtext") == 3
    site.commit("Declare the current rollout")
    site.push()
    assert "Nothing to change" in run("--dry-run", "--detailed-exitcode")
    run("--yes")
    assert pairs(database, AUDIENCE) == eligible - lost

    # The service goes on.
    assert {name: service.effect(name, database) for name in STATEMENTS} == effects

    # A rollout goes on from here: more, then back, and resumed.
    site.replace("    percentage: 10\n", "    percentage: 20\n")
    site.commit("Raise it")
    site.push()
    run("--yes")
    more = pairs(database, AUDIENCE)
    assert more > eligible - lost
    feature = ("--feature", "hybrid_progressive_capture")
    run("rollback", "--to", "10", "--reason", "too many errors", "--yes", *feature)
    assert pairs(database, AUDIENCE) == eligible - lost
    run("resume", "--reason", "mended", "--yes", *feature)
    assert pairs(database, AUDIENCE) == more
    database.execute("UPDATE rollout_configuration SET rollout_percentage = 10"
                     " WHERE feature_name = 'hybrid_progressive_capture'")  # fmt: skip

    # The service is as before: its objects, the answers of its function, its rows and its statements.
    run("db", "remove", "--yes")
    assert without_marks_of_validity(catalogue()) == without_marks_of_validity(objects)
    assert pairs(database, AUDIENCE) == eligible
    now = contents(database)
    for table in rows.keys() - {"rollout_configuration", "rollout_history"}:
        assert now[table] == rows[table]
    assert {str(row) for row in now["rollout_history"]} > {
        str(row) for row in rows["rollout_history"]
    }
    left = {name: service.effect(name, database) for name in STATEMENTS}
    assert {name for name, effect in left.items() if effect.error != effects[name].error} == set()


def test_old_rows_of_metrics_do_not_become_new_by_adoption(service: Service) -> None:
    """A trigger of the service sets `updated_at`, by which rows of long windows count."""
    database = service.database
    times = "SELECT id, updated_at FROM {} ORDER BY id"
    before = [
        database.rows(times.format(each)) for each in ("rollout_metrics", "repository_categories")
    ]

    schema.upgrade(database.engine)

    assert before == [
        database.rows(times.format(each)) for each in ("rollout_metrics", "repository_categories")
    ]
    since = "'00000000-0000-4000-8000-0000000000c1', now() - interval '1 hour'"
    assert database.value(f"SELECT count(*) FROM rollout_metrics_since({since})") == 0
    database.execute("UPDATE rollout_metrics SET success_count = 10")
    assert database.value(f"SELECT count(*) FROM rollout_metrics_since({since})") == 2


def count(eligible: set[tuple[str, str]], feature: str) -> int:
    return sum(name == feature for name, _ in eligible)


def contents(database: Database) -> dict[str, list[dict[str, Any]]]:
    return {
        table: database.rows(f"SELECT * FROM {table} ORDER BY id")
        for table in (
            "repositories",
            "pull_requests",
            "rollout_configuration",
            "repository_categories",
            "rollout_metrics",
            "rollout_history",
        )
    }


def without_marks_of_validity(catalogue: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rollout's words stay in the history, so that a rule of the service holds for new rows only."""
    return [row | {"definition": row["definition"].replace(" NOT VALID", "")} for row in catalogue]
