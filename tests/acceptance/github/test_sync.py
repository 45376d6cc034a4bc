"""`repositories sync`: GitHub's repositories with few requests, repeatedly, through renames and transfers."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from reconciler.database.repositories import LoadOutcome
from reconciler.database.transactions import Database
from reconciler.errors import NotFound, SetupInvalid
from reconciler.github.client import GitHub
from reconciler.github.repository_list import OwnerKind
from reconciler.github.repository_sync import Synced, sync_repositories
from tests.builders import add_repositories
from tests.eventually import eventually
from tests.github.listing import TOO_LARGE
from tests.github.server import FakeGitHub, Trouble
from tests.site import Site

FIGURES = """
SELECT full_name, owner, name, github_id, stargazers_count AS stars, contributors_count AS people,
    pull_requests_count AS pulls
FROM repositories ORDER BY github_id
"""


@pytest.fixture
def hub() -> Iterator[FakeGitHub]:
    """A GitHub with an organisation of five repositories."""
    fake = FakeGitHub(
        repositories={
            number: {
                "full_name": f"Acme/r{number}",
                "stars": 10 * number,
                "pulls": number,
                "contributors": number,
            }
            for number in range(1, 6)
        }
    )
    with fake.serving():
        yield fake
    assert fake.wrong == []


@pytest.fixture
def synced(site: Site, hub: FakeGitHub, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A site whose database has GitHub's repositories."""
    for name, value in hub.environment().items():
        monkeypatch.setenv(name, value)
    assert sync(site) == Synced(5, LoadOutcome(added=5, updated=0, unchanged=0), 0, 0, counted=5)
    hub.asked.clear()
    return site


def sync(site: Site, kind: OwnerKind = OwnerKind.ORGANIZATION, login: str = "acme") -> Synced:
    """Sync as the command does, without starting a program."""
    github = GitHub.from_environment()
    database = Database.at(site.database.address)
    try:
        return sync_repositories(database, github, kind, login, lambda *_: None)
    finally:
        github.transport.close()
        database.engine.dispose()


def node(github_id: int, name: str) -> dict[str, Any]:
    """Return a repository as GraphQL lists it."""
    return {
        "databaseId": github_id,
        "nameWithOwner": name,
        "stargazerCount": 1,
        "pushedAt": None,
        "pullRequests": {"totalCount": 1},
    }


def row(site: Site, github_id: int) -> dict[str, Any]:
    return next(each for each in site.database.rows(FIGURES) if each["github_id"] == github_id)


def test_a_sync_counts_again_only_repositories_with_pushes(synced: Site, hub: FakeGitHub) -> None:
    assert row(synced, 4) == {
        "full_name": "Acme/r4",
        "owner": "Acme",
        "name": "r4",
        "github_id": 4,
        "stars": 40,
        "people": 4,
        "pulls": 4,
    }
    hub.page_size = 2
    hub.repositories[2] |= {"stars": 99, "contributors": 50}
    hub.repositories[3] |= {"contributors": 60, "pushed_at": "2100-01-01T00:00:00Z"}

    done = synced.reconcile("repositories", "sync", "--org", "acme")

    assert done.stderr == ""
    assert done.stdout == (
        "acme: 5 repositories, 0 added, 1 updated, 4 unchanged; 0 transferred from another owner; "
        "contributors of 1 counted\n"
    )
    assert (row(synced, 2)["stars"], row(synced, 2)["people"]) == (99, 2)
    assert row(synced, 3)["people"] == 60
    assert [each.path for each in hub.asked] == ["/graphql"] * 3 + ["/repos/Acme/r3/contributors"]


def test_renames_swaps_and_transfers_are_followed_by_githubs_id(
    synced: Site, hub: FakeGitHub
) -> None:
    before = synced.database.rows("SELECT id, github_id FROM repositories ORDER BY github_id")
    hub.repositories[1]["full_name"] = "Acme/r2"
    hub.repositories[2]["full_name"] = "Acme/r1"
    hub.repositories[3]["full_name"] = "elsewhere/r3"
    del hub.repositories[4]
    # A new one with the name of the one that moved to another owner.
    hub.repositories[6] = {"full_name": "Acme/r3"}

    assert sync(synced).followed == 1

    names = [each["full_name"] for each in synced.database.rows(FIGURES)]
    assert names == ["Acme/r2", "Acme/r1", "elsewhere/r3", "Acme/r4", "Acme/r5", "Acme/r3"]
    after = synced.database.rows("SELECT id, github_id FROM repositories ORDER BY github_id")
    assert after[:5] == before


def test_a_deleted_repository_gives_up_its_name(synced: Site, hub: FakeGitHub) -> None:
    before = synced.database.rows("SELECT id, github_id FROM repositories ORDER BY github_id")
    # Deleted and created again with the same name; a row without GitHub's id has one of the names.
    del hub.repositories[3]
    hub.repositories[33] = {"full_name": "acme/R3"}
    add_repositories(synced.database, "acme/new")
    hub.repositories[4]["full_name"] = "Acme/new"

    done = synced.reconcile("repositories", "sync", "--org", "acme")

    assert done.exit_code == 0, done
    assert "; 2 deleted and replaced; contributors of 1 counted\n" in done.stdout
    names = [each["full_name"] for each in synced.database.rows(FIGURES)]
    stranger = names.pop()
    assert names == ["Acme/r1", "Acme/r2", "Acme/r3~3", "Acme/new", "Acme/r5", "acme/R3"]
    assert stranger.startswith("acme/new~")
    after = synced.database.rows("SELECT id, github_id FROM repositories ORDER BY github_id")
    assert after[:5] == before
    again = sync(synced)
    assert (again.replaced, again.loaded) == (0, LoadOutcome(added=0, updated=0, unchanged=5))


def test_a_chain_of_renames_is_followed(synced: Site, hub: FakeGitHub) -> None:
    synced.database.execute(
        "INSERT INTO repositories (id, github_id, owner, name, full_name) "
        "VALUES (gen_random_uuid(), 77, 'elsewhere', 'x', 'elsewhere/x'), "
        "(gen_random_uuid(), 78, 'elsewhere', 'y', 'elsewhere/y')"
    )
    hub.repositories[3]["full_name"] = "elsewhere/x"
    hub.repositories[77] = {"full_name": "elsewhere/y"}
    hub.repositories[78] = {"full_name": "elsewhere/z"}

    assert sync(synced).followed == 3

    moved = {each["github_id"]: each["full_name"] for each in synced.database.rows(FIGURES)}
    assert [moved[each] for each in (3, 77, 78)] == ["elsewhere/x", "elsewhere/y", "elsewhere/z"]


def test_a_name_listed_twice_belongs_to_the_later_one(synced: Site, hub: FakeGitHub) -> None:
    renamed = {
        "totalCount": 2,
        "pageInfo": {"hasNextPage": False, "endCursor": None},
        "nodes": [node(6, "Acme/r6"), node(5, "Acme/r6")],
    }
    hub.repositories[6] = {"full_name": "Acme/r7"}
    hub.troubles = [
        Trouble("POST", "graphql", 200, body={"data": {"owner": {"repositories": renamed}}})
    ]

    sync(synced)

    assert row(synced, 5)["full_name"] == "Acme/r6"


def test_a_missing_contributor_count_keeps_the_stored_one(synced: Site, hub: FakeGitHub) -> None:
    for number, contributors in ((1, TOO_LARGE), (2, 0), (3, 9), (4, 9), (5, 9)):
        hub.repositories[number] |= {
            "contributors": contributors,
            "pushed_at": "2100-01-01T00:00:00Z",
        }
    blocked = {"message": "Repository access blocked"}
    hub.troubles = [
        Trouble("GET", "r3/contributors", 403, body=blocked),
        Trouble("GET", "r4/contributors", 451, body=blocked),
    ]

    sync(synced)

    assert [row(synced, number)["people"] for number in range(1, 6)] == [1, 0, 3, 4, 9]


def test_a_killed_sync_continues_where_it_ended(
    site: Site, hub: FakeGitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in hub.environment().items():
        monkeypatch.setenv(name, value)
    hub.repositories |= {
        number: {"full_name": f"Acme/r{number}", "contributors": 1} for number in range(6, 60)
    }
    # The limit is used up after the first twenty-five; the sync waits, and is killed.
    hub.troubles = [Trouble("GET", "r44/contributors", 403, {"retry-after": "3000"})]
    process = site.start("repositories", "sync", "--org", "acme")
    eventually(lambda: any("r44/" in each.path for each in hub.asked))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    hub.asked.clear()

    sync(site)

    counted = [each.path for each in hub.asked if each.path.endswith("/contributors")]
    assert len(counted) == 19
    assert (
        site.database.value("SELECT count(*) FROM repositories WHERE contributors_count > 0") == 59
    )


def test_an_invalid_owner_is_refused(synced: Site) -> None:
    none = synced.reconcile("repositories", "sync")

    assert none.exit_code == 64
    assert "name one owner: --org NAME or --user NAME" in none.stderr
    with pytest.raises(NotFound, match="Could not resolve"):
        sync(synced, login="nobody")


def test_a_user_is_not_synced_as_an_organisation(synced: Site, hub: FakeGitHub) -> None:
    hub.repositories[7] = {"full_name": "ada/tool", "kind": "user"}

    assert sync(synced, OwnerKind.USER, "ada").loaded.added == 1


def test_a_rate_limit_of_graphql_is_waited_for(synced: Site, hub: FakeGitHub) -> None:
    limited = {"errors": [{"type": "RATE_LIMITED", "message": "API rate limit exceeded"}]}
    hub.troubles = [Trouble("POST", "graphql", 200, {"retry-after": "1"}, limited)]

    assert sync(synced).repositories == 5


def test_the_table_of_a_host_application_is_not_changed(synced: Site) -> None:
    synced.database.execute("DROP VIEW repository_activity CASCADE")
    synced.database.execute("ALTER TABLE repositories DROP COLUMN pull_requests_count CASCADE")

    with pytest.raises(SetupInvalid, match="belongs to a service"):
        sync(synced)


@pytest.mark.parametrize(
    "name",
    [
        "acme/../../evil?x=1#",
        "acme/..",
        "acme/a b",
        "acme/a%2Fb",
        "acme/r\u202etools",
        "acme/a/b",
        "acme/\x1b[2J",
        "acme/",
    ],
)
def test_a_name_that_github_does_not_give_is_refused(
    synced: Site, hub: FakeGitHub, name: str
) -> None:
    hub.repositories[9] = {"full_name": name}

    done = synced.reconcile("repositories", "sync", "--org", "acme")

    assert done.exit_code == 1
    assert done.stderr.endswith(
        "error: an answer has a repository name that GitHub does not give; check GITHUB_API_URL\n"
    )
    assert "9" not in {str(row["github_id"]) for row in synced.database.rows(FIGURES)}
    assert not [each for each in hub.asked if "contributors" in each.path]


def test_a_moved_repository_with_an_impossible_name_is_refused(
    synced: Site, hub: FakeGitHub
) -> None:
    hub.repositories[5] = {"full_name": "other/../../evil"}

    done = synced.reconcile("repositories", "sync", "--org", "acme")

    assert done.exit_code == 1
    assert (
        synced.database.value("SELECT full_name FROM repositories WHERE github_id = 5") == "Acme/r5"
    )
