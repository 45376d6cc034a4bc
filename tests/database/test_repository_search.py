"""Finding a repository as a person types its name, and what happened to it."""

import pytest

from reconciler.database.eligibility import explain_everywhere, explain_repository
from reconciler.database.repositories import find_repository
from reconciler.database.repository_search import (
    find_repositories,
    has_repositories,
    read_last_jobs,
)
from tests.builders import add_repositories, report_jobs
from tests.database.reading import reading
from tests.database.test_job_series import add_feature
from tests.postgres import Database


def names(database: Database, written: str) -> list[str]:
    with reading(database) as connection:
        return [each.full_name for each in find_repositories(connection, written).beginning]


def test_names_are_found_by_their_beginning_in_any_case(database: Database) -> None:
    add_repositories(database, "acme/Tools", "acme/tasks", "acme-labs/tools", "zeta/acme")

    assert names(database, "ACME/t") == ["acme/tasks", "acme/Tools"]
    assert names(database, "acme") == ["acme-labs/tools", "acme/tasks", "acme/Tools"]
    assert names(database, " acme/tools ") == ["acme/Tools"]


@pytest.mark.parametrize("written", ["%", "_cme/tools", "acme%", "acme/tool_", "\\", "'", "a\0b"])
def test_a_character_of_a_pattern_means_itself(database: Database, written: str) -> None:
    add_repositories(database, "acme/tools")

    assert names(database, written) == []


def test_a_name_with_such_a_character_is_found(database: Database) -> None:
    add_repositories(database, "acme/to_ls", "acme/tools")

    assert names(database, "acme/to_") == ["acme/to_ls"]


def test_at_most_twenty_are_listed(database: Database) -> None:
    add_repositories(database, *(f"acme/r{number:03}" for number in range(100)))

    assert len(names(database, "acme/")) == 20


def test_an_id_finds_its_repository_and_a_long_text_nothing(database: Database) -> None:
    add_repositories(database, "acme/tools")
    identifier = str(database.value("SELECT id FROM repositories"))

    assert names(database, identifier.upper()) == ["acme/tools"]
    assert names(database, "a" * 100_000) == []
    assert names(database, "  ") == []


def test_the_search_uses_the_index_of_names(database: Database) -> None:
    database.execute(
        "INSERT INTO repositories (id, owner, name, full_name)"
        " SELECT gen_random_uuid(), 'o' || n, 'r', 'o' || n || '/r' FROM generate_series(1, 20000) n"
    )
    database.execute("ANALYZE repositories")
    before = "SELECT coalesce(sum(seq_tup_read), 0) FROM pg_stat_user_tables WHERE relname = 'repositories'"
    database.execute("SELECT pg_stat_force_next_flush()")
    read = database.value(before)

    assert names(database, "o19999") == ["o19999/r"]

    database.execute("SELECT pg_stat_force_next_flush()")
    assert database.value(before) == read


def test_every_feature_is_explained_as_explain_does(database: Database) -> None:
    add_repositories(database, "acme/tools")
    add_feature(database, "first")
    add_feature(database, "second")
    database.execute(
        "UPDATE rollout_configuration SET is_active = false WHERE feature_name = 'second'"
    )

    with reading(database) as connection:
        found = find_repository(connection, "acme/tools")
        everywhere = explain_everywhere(connection, found)
        one_by_one = tuple(
            explain_repository(connection, found, name) for name in ("first", "second")
        )

    assert everywhere == one_by_one


def test_last_jobs_are_those_of_the_repository(database: Database) -> None:
    add_repositories(database, "acme/tools", "acme/other")
    add_feature(database)
    report_jobs(database, 3, errors=1, repository="acme/tools")
    report_jobs(database, 8, repository="acme/other")

    with reading(database) as connection:
        found = find_repository(connection, "acme/tools")
        (last,) = read_last_jobs(connection, found.id)
        assert has_repositories(connection)

    assert (last.feature, last.processor, last.jobs, last.errors) == (
        "capture",
        "github_actions",
        3,
        1,
    )
