"""A feature with two processors, judged by evidence: outages, failures, regressions, slow jobs."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest

from reconciler.database.health import read_health
from reconciler.database.transactions import Database as OpenedDatabase
from reconciler.database.transactions import read_only_transaction
from reconciler.operations.automatic_rollback import judge_and_roll_back
from reconciler.operations.safeguard import resume
from reconciler.planning.evidence import EvidenceTest
from reconciler.planning.health import Health, Reason, Verdict
from tests.builders import RepositoryRow, add_repositories
from tests.postgres import Database

FEATURE = "capture"
HEALTHY = (100, 1)
NO_JOBS = (0, 0)


@pytest.fixture
def rollout(database: Database) -> Database:
    """A feature at 50 percent whose stage began three hours ago, and a hundred repositories."""
    add_repositories(database, *(RepositoryRow(f"acme/{number}") for number in range(100)))
    database.execute(
        "INSERT INTO rollout_configuration (feature_name, rollout_percentage, health_method,"
        " evidence_began_at) VALUES ('capture', 50, 'evidence', now() - interval '3 hours')"
    )
    return database


def add(
    database: Database,
    processor: str,
    windows: Iterable[int],
    counts: tuple[int, int],
    *,
    buckets: tuple[int, int] | None = None,
) -> None:
    """Write jobs and errors of windows, which are counted back from now, one job for each repository at most.

    With `buckets` all jobs have a duration: those of the first number are fast, those of the second slow.
    """
    jobs, errors = counts
    for window in windows:
        database.execute(
            """
            INSERT INTO rollout_metrics (rollout_config_id, repository_id, processor_type, total_jobs,
                error_count, timed_jobs, average_processing_time, duration_counts,
                metrics_window_start, metrics_window_end)
            SELECT configuration.id, repository.id, %(processor)s, 1,
                (repository.number <= %(errors)s)::integer,
                (%(fast)s::integer IS NOT NULL)::integer,
                CASE WHEN %(fast)s::integer IS NOT NULL THEN 1 END,
                CASE
                    WHEN repository.number <= %(fast)s::integer THEN ARRAY[0, 1]
                    WHEN %(fast)s::integer IS NOT NULL THEN ARRAY[0, 0, 0, 0, 1]
                END,
                bin.start, bin.start + interval '5 minutes'
            FROM rollout_configuration AS configuration,
                (SELECT id, row_number() OVER (ORDER BY id) AS number FROM repositories)
                    AS repository,
                LATERAL (
                    SELECT date_bin('5 minutes', now(), '2000-01-01 00:00+00')
                        - %(window)s * interval '5 minutes' AS start
                ) AS bin
            WHERE repository.number <= %(jobs)s
            """,
            processor=processor,
            jobs=jobs,
            errors=errors,
            fast=None if buckets is None else buckets[0],
            window=window,
        )


def health(database: Database) -> Health:
    with read_only_transaction(OpenedDatabase.at(database.address)) as connection:
        return read_health(connection, FEATURE, eligible=50)


def act(database: Database) -> Any:
    opened = OpenedDatabase.at(database.address)
    try:
        (watched,) = judge_and_roll_back(opened, [FEATURE])
    finally:
        opened.engine.dispose()
    return watched.rollback


@pytest.mark.parametrize("method", ["threshold", "evidence"])
def test_an_outage_of_the_fallback_changes_nothing(rollout: Database, method: str) -> None:
    rollout.execute(f"UPDATE rollout_configuration SET health_method = '{method}'")
    add(rollout, "github_actions", range(1, 3), (20, 0))
    add(rollout, "inngest", range(1, 3), (60, 60))

    assert health(rollout).judgement.verdict is Verdict.PASS
    assert act(rollout) is None


def test_four_failures_are_enough_and_say_so(rollout: Database) -> None:
    add(rollout, "inngest", [0, 1, 2], (3, 0))
    add(rollout, "github_actions", [0], (4, 4))

    rolled_back = act(rollout)

    assert rolled_back.override.percentage == 0
    assert rolled_back.override.reason.startswith(
        "4 of 4 jobs failed on github_actions, 0 of 9 on inngest: evidence "
    )


def test_a_reason_has_both_processors_and_the_evidence(rollout: Database) -> None:
    rollout.execute(
        "UPDATE rollout_configuration"
        " SET evidence_began_at = date_bin('5 minutes', now(), '2000-01-01 00:00+00')"
    )
    add(rollout, "inngest", [0], (20, 1))
    add(rollout, "github_actions", [0], (4, 4))

    found = health(rollout)

    assert found.judgement.verdict is Verdict.FAIL
    assert found.sentence == (
        "4 of 4 jobs failed on github_actions, 1 of 20 on inngest: evidence 10,937 of 1,000"
    )


def test_a_slow_regression_warns_and_then_fails(rollout: Database) -> None:
    add(rollout, "inngest", range(1, 31), HEALTHY)
    verdicts = []
    for window in range(30, 0, -1):
        add(rollout, "github_actions", [window], (60, 5))
        verdicts.append(health(rollout).judgement.verdict)
        if verdicts[-1] is Verdict.FAIL:
            break

    assert Verdict.WARN in verdicts
    assert verdicts[-1] is Verdict.FAIL
    assert act(rollout) is not None


def test_slow_jobs_alone_fail_where_the_file_limits_them(rollout: Database) -> None:
    add(rollout, "inngest", range(12, 36), (60, 0), buckets=(58, 2))
    add(rollout, "inngest", range(1, 12), (60, 0), buckets=(58, 2))
    add(rollout, "github_actions", range(1, 12), (60, 0), buckets=(20, 40))
    assert health(rollout).judgement.verdict is Verdict.PASS

    rollout.execute("UPDATE rollout_configuration SET max_slowdown = 10")
    rollout.execute(
        "INSERT INTO rollout_evidence (rollout_config_id, began_at, closed_until, slow_above)"
        " SELECT id, evidence_began_at, date_bin('5 minutes', evidence_began_at,"
        " '2000-01-01 00:00+00'), 2 FROM rollout_configuration"
    )
    found = health(rollout)

    assert found.judgement.verdict is Verdict.FAIL
    assert found.evidence is not None
    assert found.evidence.test is EvidenceTest.SLOWDOWN
    assert "jobs were slow on github_actions" in found.sentence


@pytest.mark.parametrize("method", ["threshold", "evidence"])
def test_an_outage_of_both_processors_rolls_nothing_back(rollout: Database, method: str) -> None:
    rollout.execute(f"UPDATE rollout_configuration SET health_method = '{method}'")
    add(rollout, "github_actions", [0], (20, 18))
    add(rollout, "inngest", [0], (60, 57))

    found = health(rollout)

    assert found.judgement.verdict is Verdict.INCONCLUSIVE
    assert found.judgement.reason is Reason.SHARED_CAUSE
    assert found.sentence.startswith(
        "shared cause: 18 of 20 jobs failed on github_actions, 57 of 60"
    )
    assert act(rollout) is None


def test_failures_are_found_without_a_baseline(rollout: Database) -> None:
    """At 100 percent the fallback has no jobs."""
    add(rollout, "github_actions", [0], (8, 8))

    found = health(rollout)

    assert found.judgement.verdict is Verdict.FAIL
    assert found.sentence.startswith("8 of 8 jobs failed on github_actions, 0 of 0 on inngest")


def test_no_job_of_the_processor_is_no_data(rollout: Database) -> None:
    """A misspelled processor must not look healthy."""
    add(rollout, "github-actions", range(1, 6), (50, 50))

    found = health(rollout)

    assert found.judgement.reason is Reason.NO_DATA
    assert "no job of github_actions (250 jobs on github-actions) was recorded" in found.sentence


@pytest.mark.parametrize("method", ["threshold", "evidence"])
def test_worse_than_a_failing_fallback_fails(rollout: Database, method: str) -> None:
    rollout.execute(f"UPDATE rollout_configuration SET health_method = '{method}'")
    add(rollout, "github_actions", [0], (20, 20))
    add(rollout, "inngest", [0], (60, 12))

    assert health(rollout).judgement.verdict is Verdict.FAIL
    assert act(rollout) is not None


def test_two_percent_of_jobs_that_all_fail_are_not_hidden(rollout: Database) -> None:
    """The mixed rate of both processors would be within the limit."""
    rollout.execute("UPDATE rollout_configuration SET health_method = 'threshold'")
    add(rollout, "github_actions", range(1, 6), (2, 2))
    add(rollout, "inngest", range(1, 6), (98, 1))

    assert health(rollout).judgement.verdict is Verdict.FAIL


def test_jobs_of_another_processor_are_shown_and_not_counted(rollout: Database) -> None:
    add(rollout, "batch", range(1, 6), (50, 50))
    add(rollout, "github_actions", range(1, 6), (20, 0))

    found = health(rollout)

    assert found.judgement.verdict is Verdict.PASS
    assert found.metrics is not None
    assert found.metrics.by_processor["batch"].errors == 250


def test_one_repository_counts_with_five_failures_a_window(rollout: Database) -> None:
    rollout.execute(
        """
        INSERT INTO rollout_metrics (rollout_config_id, repository_id, processor_type, total_jobs,
            error_count, metrics_window_start, metrics_window_end)
        SELECT configuration.id, repository.id, 'github_actions', 1000, 1000, bin.start,
            bin.start + interval '5 minutes'
        FROM rollout_configuration AS configuration,
            (SELECT min(id::text)::uuid AS id FROM repositories) AS repository,
            LATERAL (SELECT date_bin('5 minutes', now(), '2000-01-01 00:00+00') AS start) AS bin
        """
    )

    evidence = health(rollout).evidence

    assert evidence is not None
    assert (evidence.start.new.jobs, evidence.start.new.errors) == (5, 5)


def test_evidence_restarts_at_a_rollback_and_a_resume(rollout: Database) -> None:
    add(rollout, "github_actions", range(1, 6), (20, 20))
    assert act(rollout) is not None
    after = health(rollout).evidence
    assert after is not None
    assert after.value < 1
    before = rollout.value("SELECT evidence_began_at FROM rollout_configuration")
    opened = OpenedDatabase.at(rollout.address)

    resume(opened, FEATURE, by="Ada", reason="mended")

    opened.engine.dispose()
    assert rollout.value("SELECT evidence_began_at FROM rollout_configuration") > before
    assert health(rollout).judgement.reason is Reason.NO_DATA


def test_history_keeps_what_the_safeguard_acted_on(rollout: Database) -> None:
    add(rollout, "inngest", [0, 1], (30, 0))
    add(rollout, "github_actions", [0, 1], (20, 20))
    act(rollout)

    kept = rollout.value("SELECT metadata FROM rollout_history WHERE action = 'auto_rollback'")

    assert kept["processor"] == "github_actions"
    assert kept["fallback"] == "inngest"
    assert kept["method"] == "evidence"
    assert kept["evidence"] > kept["evidence_fails_at"] == 1000
    assert (kept["baseline_jobs"], kept["baseline_errors"]) == (60, 0)


@pytest.mark.parametrize(
    ("action", "field", "begins"),
    [
        ("percentage_changed", None, True),
        ("whitelist_added", None, True),
        ("updated", "salt", True),
        ("health_changed", "processor", True),
        ("health_changed", "max_regression", True),
        ("health_changed", "max_error_rate", False),
        ("updated", "description", False),
        ("test_marked", None, False),
        ("drift_kept", None, False),
    ],
)
def test_evidence_restarts_at_a_new_audience_or_comparison(
    rollout: Database, action: str, field: str | None, begins: bool
) -> None:
    rollout.execute(
        "INSERT INTO rollout_history (rollout_config_id, action, metadata)"
        " SELECT id, %(action)s, jsonb_build_object('field', %(field)s::text)"
        " FROM rollout_configuration",
        action=action,
        field=field,
    )

    age = rollout.value("SELECT now() - evidence_began_at FROM rollout_configuration")

    assert (age < timedelta(minutes=1)) is begins
