"""`reconcile watch` keeps the counts of eligible repositories, and no verdict waits for them."""

import json
import signal
from collections.abc import Iterator

import pytest

from tests.eventually import eventually
from tests.holding import Point, holding
from tests.site import Site
from tests.watching import Start, fail_jobs, take_half_in, watching

FORGET = "DELETE FROM rollout_eligible_count"
KEPT = "SELECT count(*) FROM rollout_eligible_count"
KEEPING = Point(lock=11, table="rollout_eligible_count", changes="INSERT OR UPDATE")


@pytest.fixture
def rollout(site: Site) -> Site:
    """A site with two features at 50 percent, applied and pushed, and no kept count."""
    take_half_in(site)
    site.database.execute(FORGET)
    return site


@pytest.fixture
def start(rollout: Site) -> Iterator[Start]:
    with watching(rollout) as start:
        yield start


def test_the_watch_counts_what_no_apply_has_counted(rollout: Site, start: Start) -> None:
    rollout.database.execute(
        "INSERT INTO repositories (owner, name, full_name)"
        " SELECT 'acme', 'repo-' || n, 'acme/repo-' || n FROM generate_series(1, 12000) AS n;"
        " UPDATE rollout_configuration SET rollout_percentage = 100"
    )

    start().tells("active")

    eventually(lambda: rollout.database.value(KEPT) == 2)
    shown = json.loads(rollout.reconcile("status", "--format", "json").stdout)["features"]
    assert [each["eligible"] for each in shown] == [12_001, 12_001]
    assert all(each["counted_at"] and not each["counted_before_change"] for each in shown)


def test_a_failing_feature_is_rolled_back_while_a_count_hangs(rollout: Site, start: Start) -> None:
    with holding(rollout.database, KEEPING) as is_held:
        watcher = start("--listen", "127.0.0.1:0")
        eventually(is_held)
        fail_jobs(rollout)
        watcher.tells("rolled_back", feature="capture")
        watcher.ticks_on()
        assert rollout.database.value(KEPT) == 0
        assert is_held()


def test_the_next_leader_counts_when_the_first_is_killed(rollout: Site, start: Start) -> None:
    with holding(rollout.database, KEEPING) as is_held:
        first = start()
        first.tells("active")
        eventually(is_held)
        second = start()
        second.tells("standby")
        first.end(signal.SIGKILL)
        second.tells("active")

    eventually(lambda: rollout.database.value(KEPT) == 2)
    assert second.events("failed") == []
