"""Evidence as people see it: `health`, `health --explain`, `status`, `simulate`, and a watch."""

import json
from decimal import Decimal

import pytest

from tests.builders import add_repositories
from tests.eventually import eventually
from tests.notifications import add_target, events
from tests.site import Site
from tests.watching import fail_jobs, take_half_in, watching
from tests.writing_back import apply_file


@pytest.fixture
def judged(site: Site) -> Site:
    """A feature at 50 percent that is judged by evidence; its stage began three windows ago."""
    take_half_in(site)
    site.replace(
        "  capture:\n    percentage: 50\n    guards: {max_increase: 60}\n"
        "    health: {min_jobs: 4, max_error_rate: 25}\n",
        "  capture:\n    percentage: 50\n    processor: batch\n    fallback: queue\n"
        "    health: {method: evidence}\n",
    )
    site.commit("Judge by evidence")
    site.push()
    apply_file(site)
    site.database.execute(
        "UPDATE rollout_configuration SET evidence_began_at"
        " = date_bin('5 minutes', now(), '2000-01-01 00:00+00') - interval '15 minutes'"
    )
    for window in range(1, 4):
        add_window(site, window, "queue", 100, 1)
        add_window(site, window, "batch", 20, 0)
    return site


def add_window(site: Site, window: int, processor: str, jobs: int, errors: int) -> None:
    site.database.execute(
        """
        INSERT INTO rollout_metrics (rollout_config_id, repository_id, processor_type, total_jobs,
            error_count, metrics_window_start, metrics_window_end)
        SELECT configuration.id, (SELECT min(id::text)::uuid FROM repositories), %(processor)s,
            %(jobs)s, %(errors)s, bin.start, bin.start + interval '5 minutes'
        FROM rollout_configuration AS configuration, LATERAL (
            SELECT date_bin('5 minutes', now(), '2000-01-01 00:00+00')
                - %(window)s * interval '5 minutes' AS start
        ) AS bin
        WHERE feature_name = 'capture'
        """,
        processor=processor,
        jobs=jobs,
        errors=errors,
        window=window,
    )


def found(site: Site) -> dict[str, object]:
    done = site.reconcile("health", "--feature", "capture", "--format", "json")
    (feature,) = json.loads(done.stdout)["features"]
    return dict(feature)


def test_health_shows_both_processors_and_the_evidence(judged: Site) -> None:
    feature = found(judged)

    assert feature["verdict"] == "pass"
    assert (feature["processor"], feature["fallback"]) == ("batch", "queue")
    assert feature["baseline"]["jobs"] == 300  # type: ignore[index]
    assert feature["evidence"]["fails_at"] == 1000  # type: ignore[index]
    shown = judged.reconcile("health", "--feature", "capture").stdout
    assert "evidence       hard_limit" in shown
    assert "of 1,000" in judged.reconcile("status").stdout


def test_explain_shows_blocks_factors_and_lines(judged: Site) -> None:
    fail_jobs(judged, jobs=2, processor="batch")

    shown = judged.reconcile("health", "--explain", "--feature", "capture").stdout
    done = judged.reconcile("health", "--explain", "--feature", "capture", "--format", "json")

    assert "warns at 32, rolls back at 1,000" in shown
    (feature,) = json.loads(done.stdout)["features"]
    assert feature["warns_at"] == pytest.approx(31.6, abs=0.1)
    assert set(feature["tests"]) == {"hard_limit", "regression"}


def test_a_watch_warns_and_then_rolls_back(judged: Site) -> None:
    with watching(judged) as start:
        watcher = start("--listen", "127.0.0.1:0")
        watcher.tells("active")
        watcher.ticks_on()
        fail_jobs(judged, jobs=3, processor="batch")
        watcher.tells("evidence_rose", feature="capture")
        fail_jobs(judged, jobs=2, processor="batch")
        watcher.tells("rolled_back", feature="capture")


def test_a_watch_counts_each_closed_window_once(judged: Site) -> None:
    verdict = found(judged)
    with watching(judged) as start:
        watcher = start("--listen", "127.0.0.1:0")
        watcher.tells("active")
        watcher.ticks_on(3)
        assert watcher.end() == 0

    (run,) = judged.database.rows("SELECT began_at, closed_until FROM rollout_evidence")
    assert run["closed_until"] > run["began_at"]
    assert (
        judged.database.value("SELECT sum(new_jobs) FROM rollout_evidence_state WHERE number = 1")
        == 60
    )
    unjudged = "SELECT count(*) FROM rollout_metrics_rollup WHERE NOT is_judged"
    assert judged.database.value(unjudged) == 0
    assert found(judged)["evidence"] == verdict["evidence"]


def test_a_feature_that_warns_is_neither_promoted_nor_widened(judged: Site) -> None:
    judged.replace(
        "    processor: batch\n",
        "    progression: [{percentage: 50, soak: 1s}, {percentage: 100, soak: 1s}]\n"
        "    processor: batch\n",
    )
    judged.commit("Widen in stages")
    apply_file(judged)
    fail_jobs(judged, jobs=3, processor="batch")
    assert found(judged)["verdict"] == "warn"

    promoted = judged.reconcile("promote", "--feature", "capture")
    judged.replace("    percentage: 50\n    progression", "    percentage: 100\n    progression")
    judged.commit("Take all in")
    applied = judged.reconcile()

    for refused in (promoted, applied):
        assert refused.exit_code == 3
        assert "the verdict is warn, 3 of" in " ".join((refused.stdout + refused.stderr).split())
    assert judged.database.value(
        "SELECT rollout_percentage FROM rollout_configuration WHERE feature_name = 'capture'"
    ) == Decimal(50)


@pytest.mark.parametrize("method", ["threshold", "evidence"])
def test_an_outage_of_both_processors_pages_and_rolls_nothing_back(
    judged: Site, method: str
) -> None:
    judged.replace("method: evidence", f"method: {method}")
    judged.commit("Choose the method")
    judged.push()
    apply_file(judged)
    add_target(judged.database, "oncall", "pagerduty", severities=["page"])
    add_repositories(judged.database, *(f"acme/{number}" for number in range(60)))
    judged.database.execute("DELETE FROM rollout_metrics")
    add_jobs_of_many(judged, "batch", 20, 18)
    add_jobs_of_many(judged, "queue", 60, 57)

    with watching(judged) as start:
        watcher = start("--listen", "127.0.0.1:0")
        told = watcher.tells("shared_outage", feature="capture")
        watcher.ticks_on(3)
        assert len(watcher.events("shared_outage")) == 1
        assert watcher.events("rolled_back") == []

    assert "a rollback would not help" in told["message"]
    assert events(judged.database) == [("shared_outage", "capture")]
    assert judged.database.value("SELECT count(*) FROM rollout_override") == 0
    assert (found(judged)["verdict"], found(judged)["reason"]) == ("inconclusive", "shared_cause")
    assert "shared cause: 18 of " in judged.reconcile("status").stdout


def add_jobs_of_many(site: Site, processor: str, jobs: int, errors: int) -> None:
    """Write one job of each of some repositories into the open window."""
    site.database.execute(
        """
        INSERT INTO rollout_metrics (rollout_config_id, repository_id, processor_type, total_jobs,
            error_count, metrics_window_start, metrics_window_end)
        SELECT configuration.id, repository.id, %(processor)s, 1,
            (repository.number <= %(errors)s)::integer, bin.start, bin.start + interval '5 minutes'
        FROM rollout_configuration AS configuration,
            (
                SELECT id, row_number() OVER () AS number FROM repositories WHERE owner = 'acme'
            ) AS repository,
            LATERAL (SELECT date_bin('5 minutes', now(), '2000-01-01 00:00+00') AS start) AS bin
        WHERE configuration.feature_name = 'capture' AND repository.number <= %(jobs)s
        """,
        processor=processor,
        jobs=jobs,
        errors=errors,
    )


def test_a_watch_deletes_old_metrics_and_no_verdict_changes(judged: Site) -> None:
    before = found(judged)
    judged.database.execute(
        """
        INSERT INTO rollout_metrics (rollout_config_id, repository_id, processor_type, total_jobs,
            error_count, metrics_window_start, metrics_window_end, created_at, updated_at)
        SELECT id, (SELECT min(id::text)::uuid FROM repositories), 'batch', 9, 9, old.start,
            old.start + interval '5 minutes', old.start, old.start
        FROM rollout_configuration, LATERAL (SELECT now() - interval '91 days' AS start) AS old
        """
    )
    kept = "SELECT count(*)::integer FROM rollout_metrics WHERE metrics_window_end {} now() - interval '90 days'"
    with watching(judged) as start:
        watcher = start("--listen", "127.0.0.1:0", "--keep-metrics", "90d")
        watcher.tells("active")
        eventually(lambda: judged.database.value(kept.format("<")) == 0)
        assert watcher.end() == 0

    assert judged.database.value(kept.format(">")) == 6
    assert found(judged) == before


def test_slow_jobs_alone_are_rolled_back_by_the_watch(judged: Site) -> None:
    judged.replace("health: {method: evidence}", "health: {method: evidence, max_slowdown: 5}")
    judged.commit("Judge slow jobs too")
    judged.push()
    apply_file(judged)
    judged.database.execute("DELETE FROM rollout_metrics")
    judged.database.execute(
        "UPDATE rollout_configuration SET evidence_began_at"
        " = date_bin('5 minutes', now(), '2000-01-01 00:00+00') - interval '15 minutes'"
    )
    report_seconds(judged, "queue", jobs=200, seconds=1, windows_ago=5)
    for window in (3, 2, 1):
        report_seconds(judged, "queue", jobs=100, seconds=1, windows_ago=window)
        report_seconds(judged, "batch", jobs=60, seconds=40, windows_ago=window)
    with watching(judged) as start:
        watcher = start("--listen", "127.0.0.1:0")
        watcher.tells("rolled_back", feature="capture")
    (reason,) = judged.database.rows("SELECT reason FROM rollout_override")
    assert "slow" in reason["reason"]


def report_seconds(
    site: Site, processor: str, *, jobs: int, seconds: float, windows_ago: int
) -> None:
    """Report jobs that took this long, in an earlier window."""
    site.database.execute(
        """
        SELECT record_rollout_job('capture', (SELECT min(id::text)::uuid FROM repositories),
            %(processor)s, true, %(seconds)s)
        FROM generate_series(1, %(jobs)s)
        """,
        processor=processor,
        jobs=jobs,
        seconds=seconds,
    )
    site.database.execute(
        """
        UPDATE rollout_metrics_rollup
        SET counts_from = counts_from - %(windows)s * interval '5 minutes',
            counts_until = counts_until - %(windows)s * interval '5 minutes'
        WHERE counts_until > now() - interval '1 minute'
        """,
        windows=windows_ago,
    )


def test_a_simulation_compares_both_methods(site: Site) -> None:
    arguments = ("--rollouts", "20", "--watch-for", "4h", "--new-error-rate", "50")

    shown = site.reconcile("simulate", *arguments, "--format", "json")
    again = site.reconcile("simulate", *arguments, "--format", "json")

    methods = {each["method"]: each for each in json.loads(shown.stdout)["methods"]}
    assert shown.stdout == again.stdout
    assert methods["evidence"]["false_alarms"] == 0
    assert methods["evidence"]["rolled_back"] == 20
