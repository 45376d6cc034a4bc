"""An exclusion stores its id and its name: a repository with either is excluded, on every path."""

from decimal import Decimal

import pytest

from reconciler.database.blast_radius import NO_AUDIENCE, measure_blast_radius
from reconciler.database.live_state import read_configurations
from reconciler.database.transactions import Database as OpenedDatabase
from reconciler.database.transactions import read_only_transaction
from reconciler.operations import safeguard
from reconciler.operations.drift import read_drift, revert_held_drift
from reconciler.operations.reconcile import Applied, Permission, apply
from reconciler.planning.application import Application
from reconciler.planning.guard_names import Allowed, GuardName
from reconciler.planning.plan_inputs import Source
from reconciler.rollout_file.reader import parse_rollout
from rollout_client import RolloutClient
from rollout_client.targeting.eligibility import Targeting
from rollout_client.targeting.strategy import Strategy
from tests.builders import rollout_file
from tests.eventually import eventually
from tests.postgres import Database
from tests.site import Site

OLD = "00000000-0000-4000-8000-00000000000a"
NEW = "00000000-0000-4000-8000-00000000000b"
OTHER = "00000000-0000-4000-8000-00000000000c"


@pytest.fixture
def excluded(database: Database) -> Database:
    """A feature at 100 % that excludes one repository by its id."""
    database.execute(f"""
        INSERT INTO repositories (id, owner, name, full_name)
        VALUES ('{OLD}', 'acme', 'monolith', 'Acme/Monolith'), ('{OTHER}', 'acme', 'x', 'acme/x');
        INSERT INTO rollout_configuration
            (feature_name, rollout_percentage, excluded_repositories)
        VALUES ('f', 100, ARRAY['{OLD}']);
    """)
    return database


def recreate(database: Database) -> None:
    """Delete the excluded repository, and create another with its name."""
    database.execute(f"""
        DELETE FROM repositories WHERE id = '{OLD}';
        INSERT INTO repositories (id, owner, name, full_name)
        VALUES ('{NEW}', 'acme', 'monolith', 'acme/monolith');
    """)


def apply_exclusions(database: Database, *exclusions: str, feature: str = "f") -> Applied:
    return apply_lists(database, {feature: exclusions})


def apply_lists(database: Database, exclusions: dict[str, tuple[str, ...]]) -> Applied:
    features = {
        feature: {"percentage": 100, "exclusions": list(listed)}
        for feature, listed in exclusions.items()
    }
    text = rollout_file(features)
    document = parse_rollout(text.encode(), path="rollout.yaml")
    source = Source("rollout.yaml", document.digest, None, False, None)
    application = Application(source, document.rollout, applied_by="a test")
    permission = Permission(frozenset(map(Allowed, GuardName)))
    return apply(OpenedDatabase.at(database.address), application, permission)


def empty_the_list(database: Database) -> None:
    database.execute("UPDATE rollout_configuration SET excluded_repositories = '{}'")


def recreate_and_resume(database: Database) -> OpenedDatabase:
    """Apply the exclusion; beside a stop create the repository again and empty the list; resume."""
    apply_exclusions(database, "Acme/Monolith")
    opened = OpenedDatabase.at(database.address)
    safeguard.stop(opened, "f", by="ada", reason="it hurts")
    recreate(database)
    empty_the_list(database)
    safeguard.resume(opened, "f", by="ada", reason="fixed")
    return opened


def eligible(database: Database, feature: str = "f") -> set[str]:
    found = database.rows(f"SELECT id::text FROM eligible_repositories('{feature}') AS id")
    return {row["id"] for row in found}


def test_a_repository_created_again_under_its_name_stays_excluded(excluded: Database) -> None:
    recreate(excluded)
    assert eligible(excluded) == {OTHER}
    decided = excluded.rows(f"SELECT * FROM explain_repository_eligibility('{NEW}', 'f')")
    assert (decided[0]["eligible"], decided[0]["rule"]) == (False, "excluded")
    assert excluded.value(f"SELECT is_repository_eligible_for_rollout('{NEW}', 'f')") is False


def test_a_client_excludes_by_name_too(excluded: Database) -> None:
    recreate(excluded)
    with RolloutClient(excluded.url) as client:
        eventually(lambda: client.is_eligible(OTHER, "f"))
        assert not client.is_eligible(NEW, "f")
        assert not client.is_eligible("acme/monolith", "f")


def test_a_renamed_repository_stays_excluded_and_so_does_its_old_name(excluded: Database) -> None:
    excluded.execute(f"UPDATE repositories SET full_name = 'acme/renamed' WHERE id = '{OLD}'")
    excluded.execute(
        f"INSERT INTO repositories (id, owner, name, full_name) VALUES ('{NEW}', 'acme', 'm', 'acme/monolith')"
    )
    assert eligible(excluded) == {OTHER}


def test_of_three_rows_with_one_name_all_are_excluded(excluded: Database) -> None:
    excluded.execute(f"""
        DROP INDEX repositories_full_name_key;
        INSERT INTO repositories (id, owner, name, full_name)
        VALUES ('{NEW}', 'acme', 'monolith', 'acme/monolith'),
            (gen_random_uuid(), 'acme', 'monolith', 'ACME/monolith');
    """)
    assert eligible(excluded) == {OTHER}


def test_a_name_goes_with_its_id(excluded: Database) -> None:
    recreate(excluded)
    excluded.execute("UPDATE rollout_configuration SET rollout_percentage = 99.99")
    excluded.execute("UPDATE rollout_configuration SET rollout_percentage = 100")
    assert eligible(excluded) == {OTHER}

    excluded.execute(f"UPDATE rollout_configuration SET excluded_repositories = '{{{OLD},acme/x}}'")
    assert eligible(excluded) == set()

    excluded.execute("UPDATE rollout_configuration SET excluded_repositories = '{}'")
    assert eligible(excluded) == {OTHER, NEW}
    assert excluded.value("SELECT count(*) FROM rollout_membership") == 0


def test_a_name_listed_beside_its_id_stays_when_the_id_goes(excluded: Database) -> None:
    excluded.execute(
        f"UPDATE rollout_configuration SET excluded_repositories = '{{{OLD},acme/monolith}}'"
    )
    excluded.execute("UPDATE rollout_configuration SET excluded_repositories = '{acme/monolith}'")
    recreate(excluded)
    assert eligible(excluded) == {OTHER}


def test_a_whitelisted_id_has_no_name(excluded: Database) -> None:
    """A whitelist widens: another repository with the name must not become eligible by it."""
    excluded.execute(f"""
        UPDATE rollout_configuration SET rollout_percentage = 0, excluded_repositories = '{{}}',
            target_repositories = ARRAY['{OLD}']
    """)
    recreate(excluded)
    assert eligible(excluded) == set()


def planned(exclusions: frozenset[str]) -> Targeting:
    return Targeting(
        active=True,
        emergency_stop=False,
        strategy=Strategy.PERCENTAGE,
        percentage=Decimal(100),
        salt="f",
        exclusions=exclusions,
    )


def test_a_blast_radius_excludes_by_name_too(excluded: Database) -> None:
    recreate(excluded)
    with read_only_transaction(OpenedDatabase.at(excluded.address)) as connection:
        live = read_configurations(connection)["f"].targeting
        same = measure_blast_radius(connection, "f", live, live)
        lifted = measure_blast_radius(connection, "f", live, planned(frozenset()))
        moved = measure_blast_radius(connection, "f", live, planned(frozenset({OLD, NEW})))
        begun = measure_blast_radius(connection, "g", NO_AUDIENCE, planned(frozenset({NEW})))
    assert (same.before, same.after) == (1, 1)
    assert (lifted.before, lifted.after, lifted.gained) == (1, 2, 1)
    assert (moved.before, moved.after) == (1, 1)
    assert (begun.before, begun.after) == (0, 1)


def test_lists_and_status_show_what_people_wrote(site: Site, excluded: Database) -> None:
    listed = site.reconcile("exclude", "list", "--feature", "f")
    assert listed.stdout.lower().count("acme/monolith") == 1, listed
    assert '"exclusions": 1' in site.reconcile("status", "--format", "json").stdout


def test_a_resume_excludes_again_by_id_and_by_name(excluded: Database) -> None:
    opened = recreate_and_resume(excluded)

    assert eligible(excluded) == {OTHER}
    assert read_drift(opened) == {}
    assert apply_exclusions(excluded, "Acme/Monolith").plan.held == ()
    assert eligible(excluded) == {OTHER}


def test_a_resume_excludes_by_name_what_is_created_again_later(excluded: Database) -> None:
    apply_exclusions(excluded, "Acme/Monolith")
    opened = OpenedDatabase.at(excluded.address)
    safeguard.stop(opened, "f", by="ada", reason="it hurts")
    excluded.execute(f"DELETE FROM repositories WHERE id = '{OLD}'")
    empty_the_list(excluded)

    safeguard.resume(opened, "f", by="ada", reason="fixed")
    recreate(excluded)

    assert eligible(excluded) == {OTHER}
    assert read_drift(opened) == {}
    for _ in range(2):
        done = apply_exclusions(excluded, "Acme/Monolith")
        assert eligible(excluded) == {OTHER}
    assert not done.plan.has_changes


def test_an_apply_excludes_by_name_what_is_created_again_later(excluded: Database) -> None:
    apply_exclusions(excluded, "Acme/Monolith")
    excluded.execute(f"DELETE FROM repositories WHERE id = '{OLD}'")
    empty_the_list(excluded)

    apply_exclusions(excluded, "Acme/Monolith")
    again = apply_exclusions(excluded, "Acme/Monolith")
    recreate(excluded)

    assert not again.plan.has_changes
    assert eligible(excluded) == {OTHER}


def test_a_renamed_repositorys_old_name_is_excluded_again_too(excluded: Database) -> None:
    apply_exclusions(excluded, "Acme/Monolith")
    excluded.execute(f"""
        UPDATE repositories SET full_name = 'acme/renamed' WHERE id = '{OLD}';
        INSERT INTO repositories (id, owner, name, full_name)
        VALUES ('{NEW}', 'acme', 'monolith', 'acme/monolith');
    """)
    empty_the_list(excluded)
    opened = OpenedDatabase.at(excluded.address)
    safeguard.stop(opened, "f", by="ada", reason="it hurts")

    safeguard.resume(opened, "f", by="ada", reason="fixed")

    assert eligible(excluded) == {OTHER}


def test_a_restored_exclusion_holds_no_apply_when_its_name_moves_on(excluded: Database) -> None:
    opened = recreate_and_resume(excluded)

    excluded.execute(f"UPDATE repositories SET full_name = 'acme/moved' WHERE id = '{NEW}'")

    assert read_drift(opened) == {}
    assert apply_exclusions(excluded, "Acme/Monolith").plan.held == ()
    assert eligible(excluded) == {OTHER, NEW}


def test_a_restored_exclusion_gets_no_name_of_another_feature(excluded: Database) -> None:
    apply_exclusions(excluded, "Acme/Monolith")
    excluded.execute(f"UPDATE repositories SET full_name = 'acme/renamed' WHERE id = '{OLD}'")
    apply_lists(excluded, {"f": ("Acme/Monolith",), "g": ("acme/renamed",)})
    excluded.execute(
        f"INSERT INTO repositories (id, owner, name, full_name) VALUES ('{NEW}', 'acme', 'm', 'acme/monolith')"
    )
    opened = OpenedDatabase.at(excluded.address)
    for feature in ("f", "g"):
        safeguard.stop(opened, feature, by="ada", reason="it hurts")
    empty_the_list(excluded)

    for feature in ("f", "g"):
        safeguard.resume(opened, feature, by="ada", reason="fixed")

    assert eligible(excluded, "f") == {OTHER}
    assert eligible(excluded, "g") == {OTHER, NEW}


def test_a_name_that_its_repository_has_again_is_no_change(excluded: Database) -> None:
    apply_exclusions(excluded, "Acme/Monolith")
    excluded.execute(f"UPDATE repositories SET full_name = 'acme/renamed' WHERE id = '{OLD}'")
    empty_the_list(excluded)
    apply_exclusions(excluded, "Acme/Monolith")

    excluded.execute(f"UPDATE repositories SET full_name = 'acme/monolith' WHERE id = '{OLD}'")

    again = apply_exclusions(excluded, "Acme/Monolith")
    assert not again.plan.has_changes
    assert again.plan.held == ()


def test_reverting_drift_excludes_again_by_id_and_by_name(excluded: Database) -> None:
    apply_exclusions(excluded, "Acme/Monolith")
    recreate(excluded)
    excluded.execute("UPDATE rollout_configuration SET excluded_repositories = '{acme/x}'")
    opened = OpenedDatabase.at(excluded.address)

    revert_held_drift(opened, ["f"], by="ada", reason="a mistake")

    assert eligible(excluded) == {OTHER}
    assert read_drift(opened) == {}


def test_an_exclusion_that_people_end_ends_with_its_heirs(excluded: Database) -> None:
    apply_exclusions(excluded, "Acme/Monolith")
    recreate(excluded)
    empty_the_list(excluded)
    apply_exclusions(excluded, "Acme/Monolith")

    apply_exclusions(excluded)

    assert eligible(excluded) == {OTHER, NEW}


def test_another_feature_excludes_a_deleted_repository_by_name(excluded: Database) -> None:
    apply_exclusions(excluded, "Acme/Monolith")
    excluded.execute(f"DELETE FROM repositories WHERE id = '{OLD}'")

    apply_exclusions(excluded, "Acme/Monolith", feature="g")
    recreate(excluded)

    assert eligible(excluded, "g") == {OTHER}
