"""Jobs over time, for charts: from the kept sums, in the period, with marks."""

from datetime import timedelta

import pytest

from reconciler.database.job_series import read_hours, read_job_series
from reconciler.errors import NotFound
from reconciler.planning.job_series import MarkKind
from tests.builders import add_repositories, report_jobs
from tests.database.reading import reading
from tests.postgres import Database


def add_feature(database: Database, name: str = "capture") -> None:
    database.execute(
        "INSERT INTO rollout_configuration (feature_name, rollout_strategy, rollout_percentage,"
        " is_active) VALUES (%(name)s, 'percentage', 50, true)",
        name=name,
    )


def add_history(database: Database, action: str, **values: object) -> None:
    row = {"before": None, "after": None, "by": "ada", "ago": "1 hour", **values}
    database.execute(
        "INSERT INTO rollout_history (rollout_config_id, action, previous_percentage,"
        " new_percentage, triggered_by, created_at)"
        " SELECT id, %(action)s, %(before)s::numeric, %(after)s::numeric, %(by)s,"
        " now() - %(ago)s::interval FROM rollout_configuration",
        action=action,
        **row,
    )


def test_a_series_has_both_processors_and_leaves_others_out(database: Database) -> None:
    add_repositories(database, "acme/tools")
    add_feature(database)
    report_jobs(database, 5, errors=2)
    report_jobs(database, 3, errors=1, processor="inngest")
    report_jobs(database, 9, processor="another")

    with reading(database) as connection:
        series = read_job_series(connection, "capture")

    assert [(each.processor, each.jobs, each.errors) for each in series.windows] == [
        ("github_actions", 5, 2),
        ("inngest", 3, 1),
    ]
    assert series.ends_at - series.begins_at >= timedelta(days=1)


def test_marks_have_one_kind_each_and_one_row_for_a_long_list(database: Database) -> None:
    add_feature(database)
    for number in range(30):
        add_history(database, "whitelist_added", ago="5 hours", by=f"ada{number % 1}")
    add_history(database, "percentage_changed", before=10, after=50, ago="4 hours")
    add_history(database, "percentage_changed", before=50, after=25, ago="3 hours")
    add_history(database, "auto_rollback", before=25, after=0, ago="2 hours", by="watch")
    add_history(database, "resumed", before=0, after=25, ago="1 hour")
    add_history(database, "rollback", before=25, after=0, ago="3 days")

    with reading(database) as connection:
        marks = read_job_series(connection, "capture").marks

    assert [mark.kind for mark in marks][-4:] == [
        MarkKind.PROMOTION,
        MarkKind.APPLY,
        MarkKind.ROLLBACK,
        MarkKind.RESUME,
    ]
    assert marks[-2].summary == "auto rollback 25 → 0 by watch"
    assert all(mark.at >= marks[0].at for mark in marks)


def test_a_transaction_with_many_entries_is_one_mark(database: Database) -> None:
    add_feature(database)
    database.execute(
        "INSERT INTO rollout_history (rollout_config_id, action, triggered_by)"
        " SELECT id, 'whitelist_added', 'ada' FROM rollout_configuration, generate_series(1, 500)"
    )

    with reading(database) as connection:
        (mark,) = read_job_series(connection, "capture").marks

    assert mark.summary == "whitelist added, 500 changes by ada"


def test_an_unknown_feature_has_no_series(database: Database) -> None:
    with reading(database) as connection, pytest.raises(NotFound):
        read_job_series(connection, "nothing")


def test_hours_are_a_day_long_and_of_the_judged_processor(database: Database) -> None:
    add_repositories(database, "acme/tools")
    add_feature(database)
    add_feature(database, "quiet")
    report_jobs(database, 4, errors=1)
    report_jobs(database, 7, processor="inngest")

    with reading(database) as connection:
        hours = read_hours(connection)
        of_one = read_hours(connection, feature="quiet")

    assert list(hours) == ["capture"]
    assert len(hours["capture"]) == 24
    assert sum(each.jobs for each in hours["capture"]) == 4
    assert hours["capture"][-1].errors == 1
    assert of_one == {}
