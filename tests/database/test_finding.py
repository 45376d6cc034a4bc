"""Finding a repository by the text of a user."""

import pytest
from sqlalchemy import Connection

from reconciler.database.repositories import FoundRepository, find_repository
from reconciler.errors import NotFound
from tests.builders import RepositoryRow, add_repositories
from tests.postgres import Database

ID = "6f0c1c1e-3c0e-4a55-9b3e-0e5f7a1f2d11"
NAMES = ["Microsoft/VSCode", "microsoft/TypeScript", "vercel/next.js", "facebook/react"]


@pytest.fixture
def connection(database: Database) -> Connection:
    first, *others = NAMES
    add_repositories(database, RepositoryRow(first, id=ID), *others)
    return database.engine.connect()


@pytest.mark.parametrize(
    "written", [ID, ID.upper(), "Microsoft/VSCode", "microsoft/vscode", " microsoft/vscode\n"]
)
def test_a_repository_is_found_by_id_and_by_name(connection: Connection, written: str) -> None:
    with connection:
        assert find_repository(connection, written) == FoundRepository(ID, "Microsoft/VSCode")


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (
            "microsoft/vscod",
            "no repository is called 'microsoft/vscod', did you mean Microsoft/VSCode?",
        ),
        ("mikrosoft/vscode", "did you mean Microsoft/VSCode?"),
        ("someone/react", "did you mean facebook/react?"),
        ("react", "did you mean facebook/react?"),
        ("nothing/like-it", "is called 'nothing/like-it'; give owner/name or an id"),
        ("ffffffff-3c0e-4a55-9b3e-0e5f7a1f2d11", "no repository has the id ffffffff-3c0e"),
        ("evil\x1b[2J/name", "is called 'evil\N{REPLACEMENT CHARACTER}[2J/name'"),
        ("%_/%", "is called '%_/%'"),
        ("", "is called ''"),
    ],
)
def test_an_unknown_name_is_reported_with_the_nearest_names(
    connection: Connection, written: str, message: str
) -> None:
    with connection, pytest.raises(NotFound) as refused:
        find_repository(connection, written)

    assert message in str(refused.value)


def test_a_name_of_two_repositories_is_reported_with_their_ids(database: Database) -> None:
    """A service may store a deleted repository and a later one with the same name."""
    ids = [f"00000000-0000-0000-0000-00000000000{number}" for number in (1, 2)]
    database.execute("DROP INDEX repositories_full_name_key")
    add_repositories(database, *(RepositoryRow("acme/site", id=each) for each in ids))

    with database.engine.connect() as connection, pytest.raises(NotFound) as refused:
        find_repository(connection, "Acme/Site")

    assert str(refused.value) == (
        f"2 repositories are called 'Acme/Site'; give the id: {' or '.join(ids)}"
    )
