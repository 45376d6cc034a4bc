"""One holder at a time, by the database's clock."""

import threading
from datetime import timedelta

import pytest

from reconciler.database.lease import LeaseLost, held, read_holder
from reconciler.database.transactions import Database as Opened
from tests.postgres import Database

LENGTH = timedelta(minutes=5)


@pytest.fixture
def opened(database: Database) -> Opened:
    return Opened.at(database.address)


def let_it_run_out(database: Database) -> None:
    database.execute("UPDATE rollout_lease SET until = now()")


def test_one_of_many_concurrent_processes_gets_the_lease(opened: Opened) -> None:
    everybody_tried = threading.Barrier(8)
    taken = []

    def try_it() -> None:
        with held(opened, "watch", LENGTH) as lease:
            taken.append(lease is not None)
            everybody_tried.wait()

    threads = [threading.Thread(target=try_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(taken) == [False] * 7 + [True]


def test_the_holder_is_named_and_a_release_frees_the_lease_at_once(opened: Opened) -> None:
    with held(opened, "watch", LENGTH) as first:
        assert first is not None
        holder = read_holder(opened, "watch")
        assert holder is not None
        assert holder.name == first.holder
        with held(opened, "watch", LENGTH) as second:
            assert second is None
        with held(opened, "write-back", LENGTH) as other:
            assert other is not None
    assert read_holder(opened, "watch") is None
    with held(opened, "watch", LENGTH) as third:
        assert third is not None


def test_a_lease_is_released_after_an_error(opened: Opened) -> None:
    with pytest.raises(RuntimeError), held(opened, "watch", LENGTH):
        raise RuntimeError
    with held(opened, "watch", LENGTH) as lease:
        assert lease is not None


def test_a_holder_whose_lease_expired_notices_and_keeps_the_new_one(
    opened: Opened, database: Database
) -> None:
    with held(opened, "watch", LENGTH) as slow:
        assert slow is not None
        let_it_run_out(database)
        with held(opened, "watch", LENGTH) as next_one:
            assert next_one is not None
            with pytest.raises(LeaseLost, match="expired"):
                slow.renew()
            slow.release()
            next_one.renew()


def test_renewing_extends_a_lease(opened: Opened, database: Database) -> None:
    with held(opened, "watch", LENGTH) as lease:
        assert lease is not None
        database.execute("UPDATE rollout_lease SET until = now() + interval '10 seconds'")
        lease.renew()
        left = database.value("SELECT until - now() > '4 minutes' FROM rollout_lease")
        assert left is True


def test_an_expired_lease_is_not_renewed(opened: Opened, database: Database) -> None:
    with held(opened, "watch", LENGTH) as lease:
        assert lease is not None
        let_it_run_out(database)
        with pytest.raises(LeaseLost):
            lease.renew()
