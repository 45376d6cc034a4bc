"""Membership: the keys of both lists follow the arrays after every write."""

from tests.builders import RepositoryRow, add_repositories
from tests.postgres import Database

REPOSITORY = "6f0c1c1e-3c0e-4a55-9b3e-0e5f7a1f2d11"


def _configure(database: Database) -> None:
    add_repositories(database, RepositoryRow("Acme/Tools", id=REPOSITORY))
    database.execute(
        "INSERT INTO rollout_configuration (feature_name, target_repositories)"
        " VALUES ('f', '{other/site}')"
    )


def _keys(database: Database) -> list[tuple[str, str]]:
    rows = database.rows("SELECT list, key FROM rollout_membership ORDER BY list, key")
    return [(row["list"], row["key"]) for row in rows]


def _is_eligible(database: Database) -> bool:
    answer: bool = database.value(f"SELECT is_repository_eligible_for_rollout('{REPOSITORY}', 'f')")
    return answer


def test_an_entry_appended_by_hand_counts_at_once(database: Database) -> None:
    _configure(database)
    assert not _is_eligible(database)

    database.execute(
        "UPDATE rollout_configuration"
        f" SET target_repositories = array_append(target_repositories, '{REPOSITORY}')"
        " WHERE feature_name = 'f'"
    )

    assert _is_eligible(database)
    assert _keys(database) == [("whitelist", REPOSITORY), ("whitelist", "other/site")]


def test_an_entry_removed_by_hand_stops_counting(database: Database) -> None:
    _configure(database)
    database.execute("UPDATE rollout_configuration SET target_repositories = '{acme/*,other/site}'")
    assert _is_eligible(database)

    database.execute(
        "UPDATE rollout_configuration"
        " SET target_repositories = array_remove(target_repositories, 'acme/*')"
    )

    assert not _is_eligible(database)
    assert _keys(database) == [("whitelist", "other/site")]


def test_odd_array_entries_written_by_hand_are_accepted(database: Database) -> None:
    _configure(database)

    database.execute(
        "UPDATE rollout_configuration SET target_repositories ="
        " ARRAY[NULL, ' ACME/Tools ', 'acme/tools', NULL, '', '6F0C1C1E-3C0E-4A55-9B3E-0E5F7A1F2D11'],"
        " excluded_repositories = ARRAY[NULL]::text[]"
    )

    assert _keys(database) == [
        ("whitelist", ""),
        ("whitelist", REPOSITORY),
        ("whitelist", "acme/tools"),
    ]
    assert _is_eligible(database)


def test_the_two_lists_are_independent(database: Database) -> None:
    _configure(database)

    database.execute(
        "UPDATE rollout_configuration"
        " SET target_repositories = '{acme/tools}', excluded_repositories = '{acme/tools}'"
    )

    assert _keys(database) == [("exclusions", "acme/tools"), ("whitelist", "acme/tools")]
    assert not _is_eligible(database)


def test_deleting_a_feature_deletes_its_keys(database: Database) -> None:
    _configure(database)

    database.execute("DELETE FROM rollout_configuration")

    assert _keys(database) == []


def test_a_change_of_a_list_rewrites_only_the_changed_keys(database: Database) -> None:
    """An edit of one entry in a long list writes one row."""
    _configure(database)
    before = database.rows("SELECT ctid::text, xmin::text FROM rollout_membership")

    database.execute(
        "UPDATE rollout_configuration"
        " SET target_repositories = array_append(target_repositories, 'acme/tools')"
    )

    after = database.rows(
        "SELECT ctid::text, xmin::text FROM rollout_membership WHERE key = 'other/site'"
    )
    assert after == before


def test_editing_the_arrays_needs_no_grant_on_the_keys(database: Database) -> None:
    _configure(database)
    with database.connect() as connection:
        connection.execute("CREATE ROLE operator_of_lists")
        connection.execute("GRANT SELECT, UPDATE ON rollout_configuration TO operator_of_lists")
        connection.execute("SET LOCAL ROLE operator_of_lists")
        connection.execute("UPDATE rollout_configuration SET target_repositories = '{acme/tools}'")
        connection.execute("RESET ROLE")

        keys = connection.execute("SELECT key FROM rollout_membership").fetchall()
        connection.rollback()

    assert keys == [("acme/tools",)]
