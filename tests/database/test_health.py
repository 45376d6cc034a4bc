"""Metrics and verdicts from the database: which jobs count, and when a stage started."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

import pytest

from reconciler.database.health import read_health, read_soaking
from reconciler.database.transactions import Database as OpenedDatabase
from reconciler.database.transactions import read_only_transaction
from reconciler.errors import NotFound, Unavailable
from reconciler.planning.health import (
    Health,
    JobMetrics,
    Judgement,
    MetricsSource,
    Period,
    Reason,
    Tally,
    Verdict,
)
from reconciler.planning.stages import Soaking
from rollout_client.targeting.categories import Category
from tests.builders import RepositoryRow, add_repositories
from tests.postgres import Database

FEATURE = "capture"
TOOLS = "6f0c1c1e-3c0e-4a55-9b3e-0e5f7a1f2d11"
LINUX = "0b8a1f0d-6f8e-4c34-9a55-019343a72c11"


@pytest.fixture
def rollout(database: Database) -> Database:
    """A feature at 100 percent, a small repository and one with a recorded category."""
    add_repositories(
        database,
        RepositoryRow("acme/tools", id=TOOLS, stars=30),
        RepositoryRow("other/linux", id=LINUX, stars=90000),
    )
    database.execute(f"""
        INSERT INTO repository_categories (repository_id, category) VALUES ('{LINUX}', 'large');
        INSERT INTO rollout_configuration (feature_name, rollout_percentage, created_at)
        VALUES ('{FEATURE}', 100, now() - interval '30 days');
    """)
    return database


def add_window(
    database: Database,
    jobs: int,
    errors: int,
    *,
    begun: str = "10 minutes",
    repository: str = TOOLS,
    processor: str = "github_actions",
) -> None:
    """Write a window of five minutes that began this long ago, recorded at its end."""
    database.execute(
        f"""
        INSERT INTO rollout_metrics (rollout_config_id, repository_id, processor_type, total_jobs,
            error_count, metrics_window_start, metrics_window_end)
        SELECT id, %(repository)s, %(processor)s, %(jobs)s, %(errors)s, now() - interval '{begun}',
            now() - interval '{begun}' + interval '5 minutes'
        FROM rollout_configuration
        """,
        repository=repository,
        processor=processor,
        jobs=jobs,
        errors=errors,
    )


def happen(
    database: Database,
    action: str,
    ago: str,
    *,
    before: int | None = None,
    after: int | None = None,
) -> None:
    database.execute(
        f"""
        INSERT INTO rollout_history (rollout_config_id, action, previous_percentage,
            new_percentage, created_at)
        SELECT id, %(action)s, %(before)s, %(after)s,
            {"'infinity'" if "infinity" in ago else f"now() - interval '{ago}'"}
        FROM rollout_configuration
        """,
        action=action,
        before=before,
        after=after,
    )


def health(database: Database, *, eligible: int = 2, source: MetricsSource | None = None) -> Health:
    with read_only_transaction(OpenedDatabase.at(database.address)) as connection:
        return read_health(connection, FEATURE, eligible=eligible, source=source)


def counted(database: Database) -> Tally:
    metrics = health(database).metrics
    assert metrics is not None
    return metrics.total


def soaking(database: Database, stage: int = 25) -> Soaking:
    with read_only_transaction(OpenedDatabase.at(database.address)) as connection:
        return read_soaking(connection, FEATURE, Decimal(stage))


def held(database: Database, stage: int = 25) -> timedelta:
    """Return how long a stage has lasted, in whole hours."""
    found = soaking(database, stage)
    live = found.now - found.reached_at - found.inactive_for
    return timedelta(hours=round(live / timedelta(hours=1)))


def test_metrics_are_counted_by_processor_and_by_category(rollout: Database) -> None:
    add_window(rollout, 100, 10)
    add_window(rollout, 50, 0, begun="20 minutes")
    add_window(rollout, 40, 4, processor="inngest")
    add_window(rollout, 30, 30, processor="batch")
    add_window(rollout, 10, 1, repository=LINUX)

    found = health(rollout).metrics

    assert found is not None
    assert found.total == Tally(160, 11)
    assert found.by_category == {Category.SMALL: Tally(150, 10), Category.LARGE: Tally(10, 1)}
    assert (found.baseline, found.baseline_by_category) == (
        Tally(40, 4),
        {Category.SMALL: Tally(40, 4)},
    )
    assert found.by_processor == {
        "github_actions": Tally(160, 11),
        "inngest": Tally(40, 4),
        "batch": Tally(30, 30),
    }
    assert found.newest_age is not None
    assert timedelta(minutes=5) <= found.newest_age < timedelta(minutes=10)


def test_a_window_without_a_job_is_no_data(rollout: Database) -> None:
    add_window(rollout, 0, 0)

    assert health(rollout).judgement == Judgement(Verdict.INCONCLUSIVE, Reason.NO_DATA)


def test_another_features_jobs_do_not_count(rollout: Database) -> None:
    add_window(rollout, 100, 10)
    rollout.execute(
        "UPDATE rollout_configuration SET feature_name = 'another';"
        f"INSERT INTO rollout_configuration (feature_name) VALUES ('{FEATURE}')"
    )
    assert counted(rollout) == Tally(0, 0)


@pytest.mark.parametrize(
    ("begun", "jobs"),
    [("23 hours 59 minutes", 10), ("24 hours 4 minutes", 10), ("24 hours 6 minutes", 0)],
)
def test_a_window_that_crosses_the_edge_counts_as_a_whole(
    rollout: Database, begun: str, jobs: int
) -> None:
    add_window(rollout, 10, 1, begun=begun)

    assert counted(rollout).jobs == jobs


def test_the_window_and_limits_of_the_feature_apply(rollout: Database) -> None:
    add_window(rollout, 10, 1, begun="20 minutes")
    add_window(rollout, 10, 10, begun="40 minutes")
    rollout.execute(
        "UPDATE rollout_configuration SET monitoring_window = '30 minutes', max_error_rate = 10"
    )
    found = health(rollout)

    assert found.judgement == Judgement(Verdict.PASS)
    rollout.execute("UPDATE rollout_configuration SET max_error_rate = 9.99")
    assert health(rollout).judgement == Judgement(Verdict.FAIL)
    rollout.execute("UPDATE rollout_configuration SET min_jobs = 11")
    assert health(rollout).judgement.reason is Reason.TOO_FEW_JOBS


def test_old_metrics_of_a_live_feature_are_stale(rollout: Database) -> None:
    add_window(rollout, 100, 100, begun="2 hours")

    assert health(rollout).judgement.reason is Reason.STALE_DATA
    assert health(rollout, eligible=0).judgement.verdict is Verdict.FAIL


def test_jobs_before_a_resume_do_not_count(rollout: Database) -> None:
    add_window(rollout, 100, 100, begun="3 hours")
    happen(rollout, "resumed", "2 hours")
    add_window(rollout, 50, 0, begun="1 hour")

    assert counted(rollout) == Tally(50, 0)
    happen(rollout, "resumed", "0")
    assert health(rollout).judgement.reason is Reason.NO_DATA


def test_a_rollback_does_not_change_the_metrics(rollout: Database) -> None:
    add_window(rollout, 100, 100)
    happen(rollout, "auto_rollback", "0")

    assert counted(rollout) == Tally(100, 100)


def test_a_window_that_ends_before_the_edge_does_not_count(rollout: Database) -> None:
    add_window(rollout, 10, 1, begun="24 hours 2 minutes")
    rollout.execute(
        "UPDATE rollout_metrics SET metrics_window_end = metrics_window_start + interval '1 minute'"
    )
    assert counted(rollout).jobs == 0


def test_a_window_of_another_program_over_a_resume_does_not_count(rollout: Database) -> None:
    add_window(rollout, 100, 100, begun="4 minutes")
    happen(rollout, "resumed", "2 minutes")

    assert counted(rollout).jobs == 0


def test_only_jobs_after_a_resume_count(
    rollout: Database,
) -> None:
    recording = f"SELECT record_rollout_job('{FEATURE}', '{TOOLS}', 'github_actions', %s)"
    for _ in range(20):
        rollout.execute(recording % "false")
    assert health(rollout).judgement.verdict is Verdict.FAIL
    happen(rollout, "resumed", "0")

    assert health(rollout).judgement.reason is Reason.NO_DATA
    for _ in range(12):
        rollout.execute(recording % "false")
    assert counted(rollout) == Tally(12, 12)
    assert health(rollout).judgement.verdict is Verdict.FAIL


@dataclass(frozen=True)
class OtherSource:
    """Metrics from another source."""

    found: JobMetrics | None

    def read_metrics(self, feature: str, period: Period) -> JobMetrics:
        if self.found is None:
            raise Unavailable("it does not answer")
        return self.found


def test_another_source_of_metrics_can_succeed_or_fail(rollout: Database) -> None:
    metrics = JobMetrics(Tally(200, 100), timedelta(0))

    assert health(rollout, source=OtherSource(metrics)).judgement.verdict is Verdict.FAIL
    failed = health(rollout, source=OtherSource(None))
    assert failed.judgement == Judgement(Verdict.INCONCLUSIVE, Reason.SOURCE_FAILED)
    assert failed.metrics is None


def test_the_health_of_an_unknown_feature_is_an_error(database: Database) -> None:
    with pytest.raises(NotFound, match="no feature is called capture"):
        health(database)


def test_a_stage_starts_at_the_last_increase_that_reached_it(rollout: Database) -> None:
    happen(rollout, "created", "20 days", after=10)
    happen(rollout, "percentage_changed", "10 days", before=10, after=25)
    happen(rollout, "percentage_changed", "8 days", before=25, after=30)
    happen(rollout, "percentage_changed", "6 days", before=30, after=25)
    happen(rollout, "whitelist_added", "1 day")

    assert held(rollout, 10) == timedelta(days=20)
    assert held(rollout, 25) == timedelta(days=10)
    happen(rollout, "percentage_changed", "5 days", before=25, after=20)
    happen(rollout, "percentage_changed", "4 days", before=20, after=40)
    assert held(rollout, 25) == timedelta(days=4)
    assert held(rollout, 10) == timedelta(days=20)


@pytest.mark.parametrize(
    "action",
    [
        "auto_rollback",
        "rollback",
        "emergency_stop",
        "emergency_rollback",
        "resumed",
        "drift_kept",
    ],
)
def test_a_rollback_or_an_override_restarts_a_stage(rollout: Database, action: str) -> None:
    happen(rollout, "percentage_changed", "10 days", before=10, after=25)
    happen(rollout, action, "2 days")

    assert held(rollout) == timedelta(days=2)


def test_a_soak_adds_up_the_time_for_which_the_stage_was_live(rollout: Database) -> None:
    happen(rollout, "deactivated", "12 days")
    happen(rollout, "percentage_changed", "10 days", before=10, after=25)
    happen(rollout, "reactivated", "9 days")
    assert held(rollout) == timedelta(days=9)
    happen(rollout, "deactivated", "7 days")
    happen(rollout, "reactivated", "4 days")
    assert held(rollout) == timedelta(days=6)
    happen(rollout, "deactivated", "1 day")
    rollout.execute("UPDATE rollout_configuration SET is_active = false")
    assert held(rollout) == timedelta(days=5)
    assert soaking(rollout).is_over(timedelta(days=5) - timedelta(minutes=1))
    assert not soaking(rollout).is_over(timedelta(days=5) + timedelta(minutes=1))


def test_a_feature_that_began_inactive_soaks_since_it_is_active(rollout: Database) -> None:
    happen(rollout, "created", "20 days", after=25)
    happen(rollout, "reactivated", "3 days")

    assert held(rollout) == timedelta(days=3)


def test_a_feature_that_sql_deactivated_does_not_soak(rollout: Database) -> None:
    happen(rollout, "percentage_changed", "10 days", before=10, after=25)
    happen(rollout, "deactivated", "9 days")
    happen(rollout, "reactivated", "8 days")
    rollout.execute("UPDATE rollout_configuration SET is_active = false")

    assert held(rollout) == timedelta(0)


def test_a_soak_ignores_odd_times_of_the_history(rollout: Database) -> None:
    happen(rollout, "percentage_changed", "10 days", before=10, after=25)
    happen(rollout, "deactivated", "9 days")
    happen(rollout, "reactivated", "-infinity")
    happen(rollout, "deactivated", "-200000 years")

    assert held(rollout) == timedelta(days=10)


def test_a_stage_of_an_adopted_feature_starts_at_the_adoption(rollout: Database) -> None:
    assert held(rollout) == timedelta(days=30)
    happen(rollout, "adopted", "3 days", before=50, after=50)
    assert held(rollout) == timedelta(days=3)


def test_the_verdict_of_a_stage_depends_on_eligible_repositories(rollout: Database) -> None:
    add_window(rollout, 100, 0, begun="2 hours")

    assert soaking(rollout).health.judgement.reason is Reason.STALE_DATA
    rollout.execute("UPDATE rollout_configuration SET rollout_percentage = 0")
    assert soaking(rollout).health.judgement.verdict is Verdict.PASS
