"""What screens read: pages of history, the machinery, the audience of a large table, stages, evidence."""

from datetime import UTC, datetime, timedelta

import pytest

from reconciler.database.audience import MOST_LOOKED_AT, read_audience
from reconciler.database.history import HistoryFilter, read_history_page
from reconciler.database.machinery import read_machinery
from reconciler.database.stages import read_evidence_series, read_stage_dates
from reconciler.errors import NotFound
from reconciler.planning.stage_dates import StageState
from tests.builders import add_repositories, report_jobs, rollout_file
from tests.database.reading import reading
from tests.database.test_job_series import add_feature, add_history
from tests.postgres import Database
from tests.site import Site


def test_pages_of_history_join_without_a_gap(database: Database) -> None:
    add_feature(database)
    for number in range(7):
        add_history(database, "updated", by=f"ada {number}")

    seen, before = [], None
    with reading(database) as connection:
        for _ in range(3):
            page = read_history_page(connection, HistoryFilter(), limit=3, before=before)
            seen += [entry.triggered_by for entry in page.entries]
            before = page.older_than

    assert seen == [f"ada {number}" for number in reversed(range(7))]
    assert before is None


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (HistoryFilter(action="rollback"), ["Grace 100%"]),
        (HistoryFilter(by="GRACE"), ["Grace 100%"]),
        (HistoryFilter(by="100%"), ["Grace 100%"]),
        (HistoryFilter(by="%"), ["Grace 100%"]),
        (HistoryFilter(by="_"), []),
        (HistoryFilter(feature="capture", by="ada"), ["ada"]),
        (HistoryFilter(feature="other"), []),
        (HistoryFilter(since=datetime(9000, 1, 1, tzinfo=UTC)), []),
        (HistoryFilter(until=datetime(2000, 1, 1, tzinfo=UTC)), []),
    ],
)
def test_each_filter_of_history_selects(
    database: Database, wanted: HistoryFilter, found: list[str]
) -> None:
    add_feature(database)
    add_history(database, "updated", by="ada")
    add_history(database, "rollback", by="Grace 100%")

    with reading(database) as connection:
        page = read_history_page(connection, wanted, limit=10)

    assert [entry.triggered_by for entry in page.entries] == found


def test_the_machinery_of_a_new_database_is_one_copy_without_a_watch(database: Database) -> None:
    with reading(database) as connection:
        found = read_machinery(connection)

    assert found.lease is None
    assert found.may_read_leases
    assert list(found.replicas) == []
    assert not found.server.is_replica
    assert found.applied.generation == 0
    assert list(found.differences) == []
    assert found.clients == 0


def test_a_lease_is_shown_also_after_its_end(database: Database) -> None:
    database.execute(
        "INSERT INTO rollout_lease VALUES ('watch', 'process 7', now() - interval '1 hour')"
    )

    with reading(database) as connection:
        lease = read_machinery(connection).lease

    assert lease is not None
    assert (lease.holder, lease.is_held) == ("process 7", False)


def test_a_small_table_of_repositories_is_counted(database: Database) -> None:
    add_repositories(database, *(f"acme/r{number}" for number in range(40)))
    add_feature(database)
    eligible = database.value("SELECT count(*) FROM eligible_repositories('capture')")

    with reading(database) as connection:
        audience = read_audience(connection, "capture")

    assert not audience.is_estimated
    assert (audience.repositories, audience.eligible) == (40, eligible)


def test_a_large_table_is_estimated_from_some_pages(database: Database) -> None:
    database.execute(
        "INSERT INTO repositories (id, owner, name, full_name)"
        " SELECT gen_random_uuid(), 'o', 'r' || n, 'o/r' || n FROM generate_series(1, 30000) n"
    )
    database.execute("ANALYZE repositories")
    add_feature(database)

    with reading(database) as connection:
        audience = read_audience(connection, "capture")
        unknown = read_audience(connection, "nothing")

    assert audience.is_estimated
    assert audience.looked_at <= MOST_LOOKED_AT
    assert audience.repositories == pytest.approx(30_000, rel=0.02)
    assert audience.eligible == pytest.approx(15_000, rel=0.15)
    assert unknown.eligible == 0


def test_no_repository_is_no_audience(database: Database) -> None:
    add_feature(database)

    with reading(database) as connection:
        audience = read_audience(connection, "capture")

    assert (audience.repositories, audience.eligible, audience.is_estimated) == (0, 0, False)


def test_stages_come_from_the_applied_file_and_stop_under_a_limit(site: Site) -> None:
    stages = [(10, "1d"), (50, "2d"), (100, "1d")]
    progression = [{"percentage": percentage, "soak": soak} for percentage, soak in stages]
    site.write(rollout_file({"capture": {"percentage": 10, "progression": progression}}))
    assert site.reconcile("--yes").exit_code == 0
    with reading(site.database) as connection:
        first, second, third = read_stage_dates(connection, "capture")

    assert [each.state for each in (first, second, third)] == [
        StageState.CURRENT,
        StageState.COMING,
        StageState.COMING,
    ]
    assert first.soak_left is not None
    assert first.soak_left > timedelta(hours=23)
    assert third.may_come_at is not None
    assert second.may_come_at is not None
    assert third.may_come_at - second.may_come_at == timedelta(days=2)

    assert site.reconcile("stop", "--reason", "x", "--yes").exit_code == 0
    with reading(site.database) as connection:
        first, second, _ = read_stage_dates(connection, "capture")
    assert (first.soak_left, second.may_come_at) == (None, None)


def test_evidence_over_time_ends_with_the_evidence_now(database: Database) -> None:
    add_repositories(database, "acme/tools")
    add_feature(database)
    database.execute(
        "UPDATE rollout_configuration SET health_method = 'evidence',"
        " evidence_began_at = now() - interval '1 day'"
    )
    report_jobs(database, 40, errors=30)

    with reading(database) as connection:
        series = read_evidence_series(connection, "capture")

    assert series is not None
    assert series.points[-1].jobs == 15
    assert series.points[-1].errors == 5
    assert series.warn_line < series.fail_line


def test_a_feature_under_the_method_threshold_has_no_evidence(database: Database) -> None:
    add_feature(database)

    with reading(database) as connection:
        assert read_evidence_series(connection, "capture") is None
        assert read_stage_dates(connection, "capture") == ()
        with pytest.raises(NotFound):
            read_stage_dates(connection, "nothing")
