"""Counts that the watch keeps: as repositories come and go, beside applies, other watches and odd rows."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from reconciler.database.connection import Rights
from reconciler.database.eligible_counts import read_eligible_counts
from reconciler.database.lease import LeaseLost
from reconciler.database.transactions import Database as Opened
from reconciler.database.transactions import read_only_transaction
from reconciler.errors import ReconcilerError
from reconciler.operations.eligible_counts import count_and_keep
from reconciler.operations.events import Event, Failed, Recovered
from reconciler.watching.eligible_counts import CountKeeper
from reconciler.watching.failures import FailureTracker
from tests.builders import add_repositories
from tests.eventually import eventually
from tests.postgres import Database
from tests.site import Site

FILE = """\
version: 1
features:
  capture:
    percentage: {percentage}
    guards: {{max_increase: 100}}
  export:
    strategy: whitelist
    whitelist: [acme/tools]
"""


def leading() -> None:
    """Confirm that this process is the leader."""


@pytest.fixture
def rollout(site: Site) -> Site:
    """Two repositories; `capture` has both, `export` has one, and no count is kept."""
    add_repositories(site.database, "acme/tools", "acme/site")
    apply(site, 100)
    site.database.execute("DELETE FROM rollout_eligible_count")
    return site


def apply(site: Site, percentage: int) -> None:
    site.write(FILE.format(percentage=percentage))
    site.commit(f"{percentage} percent")
    assert site.reconcile().exit_code == 0


def kept(database: Database) -> dict[str, tuple[int, int]]:
    """Return the kept numbers of eligible and of all repositories by feature."""
    rows = database.rows(
        "SELECT feature_name, test + small + medium + large + enterprise AS eligible, repositories"
        " FROM rollout_eligible_count INNER JOIN rollout_configuration ON id = rollout_config_id"
    )
    return {each["feature_name"]: (each["eligible"], each["repositories"]) for each in rows}


def set_percentage(database: Database, percentage: int) -> None:
    database.execute(
        "UPDATE rollout_configuration SET rollout_percentage = %(percentage)s"
        " WHERE feature_name = 'capture'",
        percentage=percentage,
    )


def test_one_pass_counts_every_feature(rollout: Site) -> None:
    count_and_keep(Opened.at(rollout.database.address), leading)

    assert kept(rollout.database) == {"capture": (2, 2), "export": (1, 2)}


@dataclass
class Clock:
    """A clock that a test moves."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


class Keeper:
    """A keeper of counts as a watch has it, with a clock that the test moves."""

    def __init__(self, database: Opened) -> None:
        self.events: list[Event] = []
        self.clock = Clock()
        tracker = FailureTracker(self.events.append)
        self._keeper = CountKeeper(database, leading, tracker, self.clock)

    def tick(self, seconds: float = 3_600.0) -> None:
        """Let time pass, and count if that is due."""
        self.clock.seconds += seconds
        self._keeper.start()
        self._keeper.wait(60)


def test_counts_follow_repositories_that_come_and_go(rollout: Site) -> None:
    keeper = Keeper(Opened.at(rollout.database.address))
    keeper.tick()
    assert kept(rollout.database)["capture"] == (2, 2)

    rollout.database.execute("DELETE FROM repositories WHERE name = 'tools'")

    def is_counted() -> bool:
        keeper.tick()
        return kept(rollout.database) == {"capture": (1, 1), "export": (0, 1)}

    eventually(is_counted)
    add_repositories(rollout.database, "acme/docs", "acme/web")
    keeper.tick(seconds=59)
    assert kept(rollout.database)["capture"] == (1, 1)


def test_without_a_change_the_watch_counts_once(rollout: Site) -> None:
    keeper = Keeper(Opened.at(rollout.database.address))
    times = "SELECT max(counted_at) FROM rollout_eligible_count"

    def is_unchanged() -> bool:
        keeper.tick()
        before = rollout.database.value(times)
        keeper.tick()
        return bool(rollout.database.value(times) == before)

    # The server's statistics of the last changes may come late.
    eventually(is_unchanged)


def test_a_change_between_the_scan_and_the_write_keeps_no_old_count(rollout: Site) -> None:
    count_and_keep(Opened.at(rollout.database.address), lambda: set_percentage(rollout.database, 0))

    assert kept(rollout.database) == {"export": (1, 2)}


def test_a_count_and_a_person_who_changes_a_feature_do_not_wait(rollout: Site) -> None:
    database = Opened.at(rollout.database.address)
    with rollout.database.connect() as person:
        person.execute(
            "UPDATE rollout_configuration SET rollout_percentage = 0 WHERE feature_name = 'capture'"
        )
        count_and_keep(database, leading)
        assert kept(rollout.database) == {"capture": (2, 2), "export": (1, 2)}
        person.commit()

    count_and_keep(database, leading)
    assert kept(rollout.database)["capture"] == (0, 2)


def test_an_apply_during_a_count_keeps_its_own_count(rollout: Site) -> None:
    count_and_keep(Opened.at(rollout.database.address), lambda: apply(rollout, 0))

    assert kept(rollout.database) == {"capture": (0, 2), "export": (1, 2)}


def test_a_count_of_an_older_snapshot_replaces_no_newer_one(rollout: Site) -> None:
    def newer() -> None:
        add_repositories(rollout.database, "acme/docs")
        count_and_keep(Opened.at(rollout.database.address), leading)

    count_and_keep(Opened.at(rollout.database.address), newer)

    assert kept(rollout.database)["capture"] == (3, 3)


def test_watches_that_count_at_once_do_not_disturb_each_other(rollout: Site) -> None:
    database = Opened.at(rollout.database.address)
    with ThreadPoolExecutor(4) as watches:
        for each in [watches.submit(count_and_keep, database, leading) for _ in range(12)]:
            each.result()

    assert kept(rollout.database) == {"capture": (2, 2), "export": (1, 2)}


def test_a_process_that_lost_the_lease_keeps_no_count(rollout: Site) -> None:
    def lost() -> None:
        raise LeaseLost("another watcher has taken over")

    with pytest.raises(LeaseLost):
        count_and_keep(Opened.at(rollout.database.address), lost)

    assert kept(rollout.database) == {}


def test_one_odd_feature_stops_the_count_of_no_other(rollout: Site) -> None:
    rollout.database.execute(
        "ALTER TABLE rollout_configuration DROP CONSTRAINT rollout_configuration_rollout_strategy_check;"
        " UPDATE rollout_configuration SET rollout_strategy = 'odd' WHERE feature_name = 'capture'"
    )

    with pytest.raises(
        ReconcilerError, match="capture: its eligible repositories were not counted"
    ):
        count_and_keep(Opened.at(rollout.database.address), leading)

    assert kept(rollout.database) == {"export": (1, 2)}


def test_a_failure_is_reported_once_and_the_next_pass_counts(rollout: Site) -> None:
    keeper = Keeper(Opened.at(rollout.database.address))
    rollout.database.execute("ALTER TABLE rollout_eligible_count RENAME TO away")
    keeper.tick()
    keeper.tick()
    rollout.database.execute("ALTER TABLE away RENAME TO rollout_eligible_count")
    keeper.tick()

    assert [type(each) for each in keeper.events] == [Failed, Recovered]
    assert kept(rollout.database)["capture"] == (2, 2)


def test_a_count_with_an_impossible_time_is_replaced(rollout: Site) -> None:
    count_and_keep(Opened.at(rollout.database.address), leading)
    rollout.database.execute("UPDATE rollout_eligible_count SET counted_at = 'infinity', small = 7")

    count_and_keep(Opened.at(rollout.database.address), leading)

    assert kept(rollout.database) == {"capture": (2, 2), "export": (1, 2)}


def test_a_feature_that_a_service_deletes_takes_its_count_with_it(rollout: Site) -> None:
    rollout.database.execute("INSERT INTO rollout_configuration (feature_name) VALUES ('own')")
    count_and_keep(Opened.at(rollout.database.address), leading)
    assert kept(rollout.database)["own"] == (0, 2)

    rollout.database.execute("DELETE FROM rollout_configuration WHERE feature_name = 'own'")

    assert set(kept(rollout.database)) == {"capture", "export"}


def test_a_role_with_older_grants_counts_as_before(rollout: Site) -> None:
    assert rollout.reconcile("db", "roles", "--apply").exit_code == 0
    rollout.database.execute(
        "REVOKE ALL ON rollout_eligible_count FROM rollout_reader;"
        " INSERT INTO repositories (owner, name, full_name) SELECT 'acme', repeat('x', 90) || n,"
        " 'acme/' || repeat('x', 90) || n FROM generate_series(1, 6000) AS n"
    )
    reader = Opened.at(rollout.database.address, rights=Rights(role="rollout_reader"))

    with read_only_transaction(reader) as connection:
        found = read_eligible_counts(connection, ["capture"])

    assert (found["capture"].eligible, found["capture"].counted_at) == (6_002, None)
