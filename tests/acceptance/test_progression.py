"""A rollout that increases stage by stage, with the real program."""

import json
from datetime import timedelta
from typing import Any, NoReturn

import pexpect
import pytest

from reconciler.database.transactions import Database as Opened
from reconciler.errors import Unavailable
from reconciler.operations import reconcile
from reconciler.planning.application import Application
from reconciler.planning.health import JobMetrics, MetricsSource, Period, Tally
from reconciler.planning.plan import Plan
from reconciler.rollout_file import read_rollout_file
from tests.builders import add_repositories, report_jobs
from tests.postgres import Database
from tests.site import Site
from tests.terminal import at_terminal

FILE = """\
version: 1
features:
  capture:
    percentage: 10
    progression:
      - {percentage: 10, soak: 2s}
      - {percentage: 25, soak: 1h}
      - {percentage: 50, soak: 1d}
"""


@pytest.fixture
def begun(site: Site) -> Site:
    """A site at the first stage, with a repository."""
    add_repositories(site.database, "acme/tools")
    site.write(FILE)
    site.commit("Begin")
    assert site.reconcile().exit_code == 0
    return site


def soak_findings(site: Site, *arguments: str) -> list[str]:
    previewed = site.reconcile("--dry-run", "--format", "json", *arguments)
    assert previewed.exit_code in {0, 3}, previewed.stderr
    plan: dict[str, Any] = json.loads(previewed.stdout)
    return [each["message"] for each in plan["features"][0]["guards"] if each["name"] == "soak"]


def wait_for_the_soak(database: Database) -> None:
    """Wait until the soak of two seconds is over by the database's clock."""
    database.value(
        "SELECT pg_sleep_until(max(created_at) + interval '2 seconds')::text FROM rollout_history"
    )


def apply_with(site: Site, source: MetricsSource) -> Plan:
    """Apply the checked-out file in this process, with metrics from another source."""
    document = read_rollout_file(site.file)
    application = Application(reconcile.read_source(document), document.rollout, "a test", source)
    return reconcile.apply(Opened.at(site.database.address), application).plan


def raise_to(site: Site, before: int, after: int) -> None:
    site.replace(f"    percentage: {before}\n", f"    percentage: {after}\n")
    site.commit(f"Raise to {after}")


def test_an_increase_waits_for_its_stage_and_its_health(begun: Site) -> None:
    raise_to(begun, 10, 25)
    wait_for_the_soak(begun.database)

    refused = begun.reconcile()
    assert refused.exit_code == 3
    assert "soak" in refused.stdout + refused.stderr
    assert "the verdict is inconclusive, no data" in " ".join(
        (refused.stdout + refused.stderr).split()
    )
    assert begun.database.value("SELECT rollout_percentage FROM rollout_configuration") == 10

    report_jobs(begun.database, 20, errors=1)
    assert soak_findings(begun) == []
    assert begun.reconcile().exit_code == 0
    assert begun.database.value("SELECT rollout_percentage FROM rollout_configuration") == 25

    raise_to(begun, 25, 50)
    (finding,) = soak_findings(begun)
    assert finding.startswith("percentage 25 → 50: stage 25 reached 20")
    assert "; soaks until 20" in finding
    assert finding.endswith(" (1h)")


def test_a_failing_feature_increases_only_with_a_permission(begun: Site) -> None:
    raise_to(begun, 10, 25)
    report_jobs(begun.database, 20, errors=2)
    wait_for_the_soak(begun.database)

    (finding,) = soak_findings(begun)
    assert finding == (
        "percentage 10 → 25: the verdict is fail, error rate 10.00% over 5% (2 of 20 jobs in 24h)"
    )
    assert begun.reconcile().exit_code == 3
    assert begun.reconcile("--allow", "soak").exit_code == 0


def test_the_metrics_source_is_queried_once_before_the_lock(begun: Site) -> None:
    raise_to(begun, 10, 25)
    wait_for_the_soak(begun.database)
    is_free: list[bool] = []

    class Source:
        def read_metrics(self, feature: str, period: Period) -> JobMetrics:
            with begun.database.connect() as other:
                found = other.execute("SELECT name FROM rollout_lock FOR UPDATE SKIP LOCKED")
                is_free.append(found.fetchone() == ("writer",))
            return JobMetrics(Tally(20, 1), timedelta(0))

    assert not apply_with(begun, Source()).is_refused
    assert is_free == [True]


def test_an_apply_survives_a_connection_lost_during_the_question(
    begun: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(_database: Opened) -> NoReturn:
        raise Unavailable("the connection was lost")

    class Source:
        def read_metrics(self, feature: str, period: Period) -> JobMetrics:
            return JobMetrics(Tally(20, 1), timedelta(0))

    raise_to(begun, 10, 25)
    wait_for_the_soak(begun.database)
    monkeypatch.setattr(reconcile, "read_only_transaction", lose)

    assert not apply_with(begun, Source()).is_refused


def test_a_commit_can_contain_its_permission(begun: Site) -> None:
    begun.replace("    percentage: 10\n", "    percentage: 20\n")
    begun.commit("Raise before its time\n\nRollout-Allow: soak")

    assert begun.reconcile().exit_code == 0


def test_a_rollback_restarts_the_stage(begun: Site) -> None:
    report_jobs(begun.database, 20)
    wait_for_the_soak(begun.database)
    raise_to(begun, 10, 25)
    assert soak_findings(begun) == []

    begun.database.execute(
        "UPDATE rollout_configuration SET rollout_percentage = 0, emergency_stop = true,"
        " updated_at = now()"
    )
    (finding,) = soak_findings(begun)
    assert finding == (
        "percentage 10 → 25: an override limits stage 10; after the resume it soaks for 2s"
    )


def test_narrowing_needs_no_soak_and_no_health(begun: Site) -> None:
    raise_to(begun, 10, 5)

    assert begun.reconcile().exit_code == 0


def test_an_allowed_saved_plan_fits_after_more_jobs(begun: Site) -> None:
    raise_to(begun, 10, 25)
    report_jobs(begun.database, 20, errors=2)
    shown = begun.reconcile("--dry-run", "--plan-out", "plan.json")
    report_jobs(begun.database, 20, errors=2)

    refused = begun.reconcile("--plan-in", "plan.json")
    allowed = begun.reconcile("--plan-in", "plan.json", "--allow", "soak")

    assert (shown.exit_code, refused.exit_code, allowed.exit_code) == (3, 3, 0)
    assert begun.database.value("SELECT rollout_percentage FROM rollout_configuration") == 25


def test_a_guard_finding_made_during_the_question_is_shown(begun: Site) -> None:
    raise_to(begun, 10, 25)
    wait_for_the_soak(begun.database)
    report_jobs(begun.database, 20, errors=1)

    asked = at_terminal(begun)
    asked.expect_exact("Apply this?")
    report_jobs(begun.database, 20, errors=20)
    asked.sendline("y")
    asked.expect_exact("the verdict is fail")
    asked.expect(pexpect.EOF)

    asked.close()
    assert asked.exitstatus == 3
    assert begun.database.value("SELECT rollout_percentage FROM rollout_configuration") == 10
