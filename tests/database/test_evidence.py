"""Evidence in the database: each job counts once, for any writer and any time of its commit."""

import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from reconciler.database.address import DatabaseAddress
from reconciler.database.evidence import JudgedFeature, advance_run, read_open_jobs, read_run
from reconciler.database.lease import Lease, LeaseLost
from reconciler.database.metrics import merge_sums
from reconciler.database.transactions import Database as OpenedDatabase
from reconciler.database.transactions import write_transaction
from reconciler.planning.evidence import WINDOW, Counts, EvidenceRun, EvidenceSettings, window_of
from tests.builders import RepositoryRow, add_repositories
from tests.holding import Point, kill_held
from tests.postgres import Database
from tests.program import PROCESSES

FEATURE = "capture"
TOOLS = "6f0c1c1e-3c0e-4a55-9b3e-0e5f7a1f2d11"
SITE = "0b8a1f0d-6f8e-4c34-9a55-019343a72c11"
NEW, OLD = "github_actions", "inngest"
BEGAN_AT = window_of(datetime(2026, 3, 2, 12, 2, tzinfo=UTC))


@pytest.fixture
def rollout(database: Database) -> Database:
    """A feature and two small repositories."""
    add_repositories(
        database,
        RepositoryRow("acme/tools", id=TOOLS, stars=30),
        RepositoryRow("acme/site", id=SITE, stars=30),
    )
    database.execute(f"INSERT INTO rollout_configuration (feature_name) VALUES ('{FEATURE}')")
    return database


@pytest.fixture
def lease(rollout: Database) -> Iterator[Lease]:
    """A lease that is held."""
    opened = OpenedDatabase.at(rollout.address)
    held = Lease.of_this_process(opened, "watch", timedelta(minutes=5))
    assert held.take()
    yield held
    opened.engine.dispose()


def add(
    database: Database,
    window: int,
    jobs: int,
    errors: int = 0,
    *,
    processor: str = NEW,
    repository: str = TOOLS,
) -> None:
    """Write a row of the window with this number since the beginning, as a service does."""
    database.execute(
        """
        INSERT INTO rollout_metrics (rollout_config_id, repository_id, processor_type, total_jobs,
            error_count, metrics_window_start, metrics_window_end)
        SELECT id, %(repository)s, %(processor)s, %(jobs)s, %(errors)s, %(begin)s, %(end)s
        FROM rollout_configuration
        """,
        repository=repository,
        processor=processor,
        jobs=jobs,
        errors=errors,
        begin=BEGAN_AT + window * WINDOW,
        end=BEGAN_AT + (window + 1) * WINDOW,
    )


def judged(began_at: datetime = BEGAN_AT) -> JudgedFeature:
    return JudgedFeature(FEATURE, NEW, OLD, began_at, EvidenceSettings(Decimal(5)))


def move(lease: Lease, windows: int, feature: JudgedFeature | None = None) -> EvidenceRun:
    """Move to the end of this number of windows since the beginning."""
    now = BEGAN_AT + windows * WINDOW
    return write_transaction(
        lease.database,
        lambda connection: advance_run(connection, lease, feature or judged(), now),
    )


def total(run: EvidenceRun, arm: str = "new") -> Counts:
    """All jobs since the first start."""
    counts = Counts()
    for state in run.states:
        if state.number == 1:
            counts += getattr(state, arm)
    return counts


def test_closed_windows_are_counted_once(rollout: Database, lease: Lease) -> None:
    add(rollout, 0, 10, 2)
    add(rollout, 0, 30, 1, processor=OLD)
    add(rollout, 1, 7, 3)

    first = move(lease, 1)
    assert (total(first), total(first, "baseline")) == (Counts(10, 2), Counts(30, 1))
    assert move(lease, 1) == first
    assert total(move(lease, 2)) == Counts(17, 5)
    assert total(move(lease, 2)) == Counts(17, 5)


def test_the_run_is_read_as_it_was_written(rollout: Database, lease: Lease) -> None:
    for window in range(4):
        add(rollout, window, 10, 9)
        add(rollout, window, 30, 1, processor=OLD)

    written = move(lease, 4)

    assert any(state.regression != 0 for state in written.states)
    assert read(lease) == written


def read(lease: Lease) -> EvidenceRun | None:
    return write_transaction(lease.database, lambda connection: read_run(connection, FEATURE))


def test_a_late_row_is_counted_once_with_the_next_window(rollout: Database, lease: Lease) -> None:
    add(rollout, 0, 10)
    move(lease, 1)
    add(rollout, 0, 5, 5, repository=SITE)

    assert total(move(lease, 1)) == Counts(10)
    assert total(move(lease, 2)) == Counts(15, 5)
    assert total(move(lease, 3)) == Counts(15, 5)


def test_an_open_window_is_read_and_not_counted(rollout: Database, lease: Lease) -> None:
    add(rollout, 0, 10)
    add(rollout, 1, 4, 3)
    run = move(lease, 1)

    def read_open(connection: Any) -> Counts:
        return read_open_jobs(connection, FEATURE, run, NEW)

    assert write_transaction(lease.database, read_open) == Counts(4, 3)
    assert total(run) == Counts(10)


def test_five_failures_of_a_repository_count_in_a_window(rollout: Database, lease: Lease) -> None:
    for _ in range(3):
        add(rollout, 0, 10, 4)
    add(rollout, 0, 10, 4, repository=SITE)
    add(rollout, 1, 10, 10)

    # Of twelve failures of the one repository seven are no jobs.
    assert total(move(lease, 1)) == Counts(40 - 7, 5 + 4)
    assert total(move(lease, 2)) == Counts(33 + 5, 9 + 5)


def test_merging_changes_no_count(rollout: Database, lease: Lease) -> None:
    for _ in range(3):
        add(rollout, 0, 10, 4)
    add(rollout, 0, 10, 4, repository=SITE)
    before = rollout.rows(
        "SELECT sum(jobs) AS jobs, sum(errors) AS errors FROM rollout_metrics_rollup"
    )

    assert rollout.value("SELECT merge_rollout_rollup(100)") == 4
    assert rollout.value("SELECT merge_rollout_rollup(100)") == 0

    assert rollout.value("SELECT count(*) FROM rollout_metrics_rollup") == 1
    after = rollout.rows(
        "SELECT sum(jobs) AS jobs, sum(errors) AS errors FROM rollout_metrics_rollup"
    )
    assert after == before
    assert total(move(lease, 1)) == Counts(33, 9)


def test_a_late_row_after_a_merge_is_counted_once(rollout: Database, lease: Lease) -> None:
    add(rollout, 0, 10)
    rollout.value("SELECT merge_rollout_rollup(100)")
    move(lease, 1)
    add(rollout, 0, 5)
    rollout.value("SELECT merge_rollout_rollup(100)")

    assert total(move(lease, 2)) == Counts(15)


def test_a_change_of_the_stage_restarts_the_run(rollout: Database, lease: Lease) -> None:
    add(rollout, 0, 10, 5)
    move(lease, 1)
    later = judged(BEGAN_AT + 2 * WINDOW)
    add(rollout, 2, 3, 1)

    assert total(move(lease, 3, later)) == Counts(3, 1)


def test_a_lost_lease_counts_nothing(rollout: Database, lease: Lease) -> None:
    add(rollout, 0, 10)
    rollout.execute("UPDATE rollout_lease SET holder = 'another'")

    with pytest.raises(LeaseLost):
        move(lease, 1)

    assert read(lease) is None
    rollout.execute(f"UPDATE rollout_lease SET holder = '{lease.holder}'")
    assert total(move(lease, 1)) == Counts(10)


def test_deleted_jobs_that_were_counted_take_nothing_back(rollout: Database, lease: Lease) -> None:
    add(rollout, 0, 10)
    move(lease, 1)
    rollout.execute("DELETE FROM rollout_metrics")
    add(rollout, 1, 6)

    assert total(move(lease, 2)) == Counts(16)
    assert rollout.value("SELECT sum(jobs) FROM rollout_metrics_rollup") == 6


def test_a_merge_in_an_open_transaction_does_not_stop_the_run(
    rollout: Database, lease: Lease
) -> None:
    add(rollout, 0, 10)
    with rollout.connect() as worker:
        worker.execute("SELECT merge_rollout_rollup(100)")
        assert total(move(lease, 1)) == Counts()
        worker.commit()

    assert total(move(lease, 2)) == Counts(10)


STATES, SUMS = "rollout_evidence_state", "rollout_metrics_rollup"
KILLED = {
    "the run, in its statement": Point(725_201, "rollout_evidence", "INSERT OR UPDATE"),
    "the run, in its commit": Point(
        725_202, "rollout_evidence", "INSERT OR UPDATE", in_commit=True
    ),
    "the states, in their statement": Point(725_203, STATES, "INSERT OR UPDATE"),
    "the sums that are counted, in their statement": Point(
        725_204, SUMS, condition="NEW.is_judged"
    ),
    "a merge, in its statement": Point(725_205, SUMS, "INSERT", "NEW.level > 0"),
    "a merge, in its commit": Point(725_206, SUMS, "INSERT", "NEW.level > 0", in_commit=True),
}


def merge_and_move(address: DatabaseAddress, windows: int) -> None:
    """Do what a watch does between two windows: merge the sums, count the closed windows."""
    opened = OpenedDatabase.at(address)
    lease = Lease.of_this_process(opened, "watch", timedelta(minutes=5))
    assert lease.take()
    write_transaction(opened, lambda connection: merge_sums(connection, 1000))
    move(lease, windows)


@pytest.mark.parametrize("point", KILLED)
def test_a_killed_watch_loses_no_window_and_counts_none_twice(
    rollout: Database, point: str, at_size: Callable[[int, int], int]
) -> None:
    opened = OpenedDatabase.at(rollout.address)
    for window in range(at_size(3, 50)):
        add(rollout, window, 10, 4)
        add(rollout, window, 20, 1, repository=SITE)
        add(rollout, window, 30, 2, processor=OLD)
        process = PROCESSES.Process(target=merge_and_move, args=(rollout.address, window + 1))
        kill_held(rollout, KILLED[point], process)
        assert process.exitcode == -signal.SIGKILL
        rollout.execute("DELETE FROM rollout_lease")

        lease = Lease.of_this_process(opened, "watch", timedelta(minutes=5))
        assert lease.take()
        write_transaction(opened, lambda connection: merge_sums(connection, 1000))
        run = move(lease, window + 1)

        closed = window + 1
        assert total(run) == Counts(30 * closed, 5 * closed)
        assert total(run, "baseline") == Counts(30 * closed, 2 * closed)
        rollout.execute("DELETE FROM rollout_lease")
        opened.engine.dispose()
    assert rollout.value("SELECT count(*) FROM rollout_metrics_rollup WHERE NOT is_judged") == 0


def test_slow_jobs_are_those_above_the_baselines_percentile(
    rollout: Database, lease: Lease
) -> None:
    def report(processor: str, seconds: float, jobs: int) -> None:
        rollout.execute(
            "SELECT record_rollout_job(%(feature)s, %(id)s, %(processor)s, true, %(seconds)s)"
            " FROM generate_series(1, %(jobs)s)",
            feature=FEATURE,
            id=TOOLS,
            processor=processor,
            seconds=seconds,
            jobs=jobs,
        )

    report(OLD, 1, 96)
    report(OLD, 100, 4)
    report(NEW, 1, 5)
    report(NEW, 100, 7)
    rollout.execute(
        "UPDATE rollout_metrics SET metrics_window_start = %(old)s, metrics_window_end = %(begin)s"
        " WHERE processor_type = %(processor)s",
        old=BEGAN_AT - WINDOW,
        begin=BEGAN_AT,
        processor=OLD,
    )
    rollout.execute(
        "UPDATE rollout_metrics SET metrics_window_start = %(begin)s, metrics_window_end = %(end)s"
        " WHERE processor_type = %(processor)s",
        begin=BEGAN_AT,
        end=BEGAN_AT + WINDOW,
        processor=NEW,
    )

    assert total(move(lease, 1)) == Counts(12, 0, timed=12, slow=7)
