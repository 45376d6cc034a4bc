"""Reported jobs, metrics and verdicts, as people and scripts read them."""

import json
import re
from typing import Any

import pytest
from inline_snapshot import snapshot

from tests.site import Site

REPOSITORIES = """\
full_name,stars,contributors,pull_requests
acme/empty,0,0,0
acme/site,30,4,50
acme/tools,40,9,90
other/app,400,20,700
"""
FILE = """\
version: 1
features:
  capture:
    percentage: 100
    health: {min_jobs: 4, max_error_rate: 25}
    guards: {max_increase: 100}
"""


@pytest.fixture
def filled(site: Site) -> Site:
    """A site with four repositories, all of them eligible."""
    (site.folder / "r.csv").write_text(REPOSITORIES)
    site.reconcile("repositories", "load", "r.csv")
    site.write(FILE)
    site.commit("Let everybody in")
    assert site.reconcile().exit_code == 0
    return site


def add_jobs(
    site: Site, jobs: int, errors: int, *, repository: str = "acme/site", feature: str = "capture"
) -> None:
    site.database.execute(
        """
        INSERT INTO rollout_metrics (rollout_config_id, repository_id, processor_type, total_jobs,
            success_count, error_count, timed_jobs, average_processing_time, last_error_message,
            last_error_at, metrics_window_start, metrics_window_end)
        SELECT configuration.id, repositories.id, 'github_actions', %(jobs)s, %(jobs)s - %(errors)s,
            %(errors)s, 2, 1.25, 'it \x1b[31mbroke', now(), now() - interval '5 minutes', now()
        FROM rollout_configuration AS configuration, repositories
        WHERE feature_name = %(feature)s AND full_name = %(repository)s
        """,
        jobs=jobs,
        errors=errors,
        repository=repository,
        feature=feature,
    )


def health(site: Site, *arguments: str) -> list[dict[str, Any]]:
    done = site.reconcile("health", "--format", "json", *arguments)
    assert done.exit_code == 0, done.stderr
    features: list[dict[str, Any]] = json.loads(done.stdout)["features"]
    return features


def test_a_job_is_recorded_and_shown(filled: Site) -> None:
    recorded = filled.reconcile("metrics", "record", "acme/tools", "--processor", "github_actions")
    failed = filled.reconcile(
        "metrics", "record", "ACME/Tools", "--processor", "github_actions", "--failed",
        "--seconds", "1.5", "--error", "time ran\nout", "--kind", "pull_requests", "--size", "8",
    )  # fmt: skip

    assert recorded.stdout == "capture: a job of acme/tools succeeded\n"
    assert failed.stdout == "capture: a job of acme/tools failed\n"
    shown = json.loads(filled.reconcile("metrics", "show", "--format", "json").stdout)
    assert shown["feature"] == "capture"
    windows = shown["windows"]
    assert sum(each["jobs"] for each in windows) == 2
    assert sum(each["errors"] for each in windows) == 1
    assert windows[0].keys() == {
        "begins_at", "ends_at", "processor", "repositories", "jobs", "errors", "mean_seconds",
        "last_error",
    }  # fmt: skip
    assert (windows[0]["mean_seconds"], windows[0]["last_error"]) == (1.5, "time ran\nout")
    kinds = filled.database.rows(
        "SELECT DISTINCT job_kind AS kind, size_class AS size FROM rollout_metrics ORDER BY 1"
    )
    assert kinds == [{"kind": "", "size": 0}, {"kind": "pull_requests", "size": 1}]


def test_metrics_are_a_table_by_window(filled: Site) -> None:
    assert filled.reconcile("metrics", "show").stdout == "no job is recorded in this time\n"
    add_jobs(filled, 1200, 300)
    add_jobs(filled, 8, 0, repository="acme/tools")

    shown = filled.reconcile("metrics", "show").stdout
    times = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ"
    assert re.sub(times, "2026-11-23T12:00:00Z", shown) == snapshot("""\
2026-11-23T12:00:00Z
    processor     github_actions
    repositories  1
    jobs          8
    errors        0
    rate          0.00 %
    seconds       1.25
    last error    it \\x1b[31mbroke

2026-11-23T12:00:00Z
    processor     github_actions
    repositories  1
    jobs          1,200
    errors        300
    rate          25.00 %
    seconds       1.25
    last error    it \\x1b[31mbroke
""")


def test_old_windows_are_pruned(filled: Site) -> None:
    add_jobs(filled, 1, 0)
    filled.database.execute(
        "UPDATE rollout_metrics SET metrics_window_start = now() - interval '100 days',"
        " metrics_window_end = now() - interval '100 days'"
    )
    assert filled.reconcile("metrics", "prune", "--keep", "365d").stdout == "0 rows deleted\n"
    assert filled.reconcile("metrics", "prune", "--keep", "90d").stdout == "1 row deleted\n"


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["record", "acme/tool", "--processor", "x"], 1, "did you mean acme/tools?"),
        (["record", "acme/tools"], 64, "Missing option '--processor'"),
        (["record", "acme/tools", "--processor", "x" * 51], 64, "write 1 to 50 characters"),
        (["record", "acme/tools", "--processor", "x", "--error", "why"], 64, "needs --failed"),
        (["record", "acme/tools", "--processor", "x", "--seconds", "-1"], 64, "is not a time"),
        (["record", "acme/tools", "--processor", "x", "--seconds", "nan"], 64, "is not a time"),
        (["record", "acme/tools", "--processor", "x", "--feature", "captur"], 1, "mean capture?"),
        (["prune", "--keep", "ever"], 64, "is not a duration; write a whole number and a unit"),
        (["prune"], 64, "Missing option '--keep'"),
    ],
)
def test_invalid_arguments_are_refused(
    filled: Site, arguments: list[str], exit_code: int, message: str
) -> None:
    done = filled.reconcile("metrics", *arguments)

    assert (done.exit_code, done.stdout) == (exit_code, "")
    assert message in done.stderr
    assert filled.database.value("SELECT count(*) FROM rollout_metrics") == 0


def test_health_shows_verdict_rates_and_indicators(filled: Site) -> None:
    add_jobs(filled, 1200, 300)
    add_jobs(filled, 8, 8, repository="other/app")

    assert filled.reconcile("health").stdout == snapshot("""\
capture: fail
    error rate 25.50% over 25% (308 of 1,208 jobs in 24h)
    by category    small             25.00 % of 1,200 jobs
                   medium           100.00 % of 8 jobs
    by processor   github_actions    25.50 % of 1,208 jobs
    participation  ok      100.0 % of the repositories are eligible; target: over 10 %
    concentration  ok      50.0 % of the eligible ones are in one category; target: at most 80 %
    test           warned  1 test repository; target: 5 or more
""")


def test_health_as_json(filled: Site) -> None:
    add_jobs(filled, 200, 50)

    assert health(filled) == snapshot(
        [
            {
                "name": "capture",
                "verdict": "pass",
                "reason": None,
                "error_rate": 25,
                "jobs": 200,
                "errors": 50,
                "by_category": {"small": {"error_rate": 25, "jobs": 200, "errors": 50}},
                "by_processor": {"github_actions": {"error_rate": 25, "jobs": 200, "errors": 50}},
                "processor": "github_actions",
                "fallback": "inngest",
                "baseline": {"error_rate": None, "jobs": 0, "errors": 0, "by_category": {}},
                "method": "threshold",
                "evidence": None,
                "indicators": {
                    "participation": {"status": "ok", "value": 100, "limit": 10},
                    "concentration": {"status": "ok", "value": 50, "limit": 80},
                    "test_repositories": {"status": "warned", "value": 1, "limit": 5},
                },
                "counted_at": None,
                "counted_before_change": False,
                "rolled_back": False,
            }
        ]
    )


def test_without_a_job_the_verdict_is_inconclusive(filled: Site) -> None:
    (found,) = health(filled)

    assert (found["verdict"], found["reason"]) == ("inconclusive", "no_data")
    assert (found["error_rate"], found["jobs"], found["errors"]) == (None, 0, 0)


def test_the_exit_code_is_of_the_worst_feature(filled: Site) -> None:
    filled.write(FILE + FILE.partition("features:\n")[2].replace("capture", "another"))
    filled.commit("Begin another")
    assert filled.reconcile().exit_code == 0

    def exit_codes() -> tuple[int, int]:
        return (
            filled.reconcile("health").exit_code,
            filled.reconcile("health", "--detailed-exitcode").exit_code,
        )

    assert exit_codes() == (0, 3)
    add_jobs(filled, 10, 10)
    assert exit_codes() == (0, 2)
    assert [each["verdict"] for each in health(filled)] == ["inconclusive", "fail"]
    assert [each["name"] for each in health(filled, "--feature", "another")] == ["another"]
    filled.database.execute("UPDATE rollout_metrics SET error_count = 0")
    add_jobs(filled, 10, 0, feature="another")
    assert exit_codes() == (0, 0)


def test_health_without_a_feature_is_reported(site: Site) -> None:
    assert site.reconcile("health").stdout == "there is no feature yet\n"
    refused = site.reconcile("health", "--feature", "capture")
    assert (refused.exit_code, "no feature is called capture" in refused.stderr) == (1, True)


def test_health_refuses_options_it_does_not_use(filled: Site) -> None:
    assert filled.reconcile("health", "--no-write-back").exit_code == 64
