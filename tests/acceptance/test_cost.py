"""`reconcile cost`: the price of jobs as people read it, and the guard of a rule that moves jobs."""

import json

import pytest

from rollout_client import Job, RolloutClient
from tests.builders import FEATURE, add_repositories
from tests.screens import Browser
from tests.site import Site

FILE = f"""\
version: 1
processors:
  github_actions: {{cost: {{per_minute: 0.006, round_up: 1m}}, as_of: 2026-11-01}}
  inngest: {{cost: {{per_execution: 0.0001, executions_per_job: 6}}, as_of: 2026-11-01}}
features:
  {FEATURE}:
    percentage: 100
    guards: {{max_increase: 100}}
"""
RULE = '    routing: [{when: {size: "<=10"}, to: inngest, because: it is cheaper}]\n'


def applied(site: Site) -> None:
    add_repositories(site.database, "acme/tools")
    site.write(FILE)
    done = site.reconcile("--yes")
    assert done.exit_code == 0, done.stderr
    for processor, seconds in (("github_actions", 61), ("inngest", 5)):
        site.database.execute(
            "SELECT record_rollout_job(%(feature)s, id, %(processor)s, job > 1, %(seconds)s)"
            " FROM repositories, generate_series(1, 10) AS job",
            feature=FEATURE,
            processor=processor,
            seconds=seconds,
        )


def test_the_price_of_the_recorded_jobs_is_shown(site: Site) -> None:
    applied(site)
    done = site.reconcile("cost", "--format", "json")
    found = json.loads(done.stdout)
    assert [each["processor"] for each in found["lines"]] == ["github_actions", "inngest"]
    assert [each["errors"] for each in found["lines"]] == [1, 1]
    assert found["at_0"] == pytest.approx(20 * 0.0006)
    text = site.reconcile("cost").stdout
    assert "at 0 %" in text
    assert "against the fallback alone" in text
    lines = site.reconcile("cost", "--csv").stdout.splitlines()
    assert lines[0] == "processor,category,kind,jobs,errors,minutes,price,price_per_success"
    assert len(lines) == 3


def test_a_rule_that_moves_many_jobs_needs_permission(site: Site) -> None:
    applied(site)
    site.write(FILE + RULE)

    refused = site.reconcile("--dry-run")

    assert "20 of 20 jobs of the last day would go elsewhere: 20 to inngest" in " ".join(
        refused.stdout.split()
    )
    assert "max-shift: 20 of 20 jobs of the last day" in " ".join(refused.stdout.split())
    plan = json.loads(site.reconcile("--dry-run", "--format", "json").stdout)
    (feature,) = plan["features"]
    assert feature["routing_shift"]["moved"] == {"inngest": 20}
    assert site.reconcile("--yes").exit_code != 0
    assert site.reconcile("--yes", "--allow", "max-shift").exit_code == 0
    assert "matches the file" in site.reconcile("--dry-run").stdout


def test_a_rule_that_moves_few_jobs_needs_no_permission(site: Site) -> None:
    applied(site)
    site.write(FILE + RULE.replace('size: "<=10"', "kind: [reviews]"))
    done = site.reconcile("--yes")
    assert done.exit_code == 0, done.stdout
    assert "0 of 20 jobs of the last day would go elsewhere" in " ".join(done.stdout.split())


CHEAPEST = """\
    routing:
      - {when: {kind: [reviews]}, to: cheapest, if: {error_rate: "<5%"}, because: it is cheaper}
"""


def with_a_cheaper_fallback(site: Site) -> None:
    """Apply a rule to the cheapest processor, and record jobs of both."""
    add_repositories(site.database, "acme/tools")
    site.write(FILE + CHEAPEST)
    done = site.reconcile("--yes")
    assert done.exit_code == 0, done.stdout + done.stderr
    for processor in ("github_actions", "inngest"):
        site.database.execute(
            "SELECT record_rollout_job(%(feature)s, id, %(processor)s, true, 90,"
            " job_kind => 'reviews') FROM repositories, generate_series(1, 300) AS job",
            feature=FEATURE,
            processor=processor,
        )


def processor_of_a_review(site: Site) -> str:
    found = site.database.value(
        "SELECT processor FROM repositories,"
        " LATERAL route_rollout_job(%(feature)s, repositories.id, 'reviews', 0)",
        feature=FEATURE,
    )
    return str(found)


def test_the_cheapest_processor_is_chosen_with_a_row_of_history(site: Site) -> None:
    with_a_cheaper_fallback(site)
    assert processor_of_a_review(site) == "github_actions"

    resolved = json.loads(site.reconcile("cost", "--resolve", "--format", "json").stdout)

    ((move,),) = [each["moves"] for each in resolved["features"]]
    assert (move["before"], move["after"], move["jobs"]) == ("github_actions", "inngest", 600)
    assert processor_of_a_review(site) == "inngest"
    with RolloutClient(site.database.url) as client:
        route = client.route("acme/tools", Job(FEATURE, "reviews"))
    assert (route.processor, route.rule, route.because) == ("inngest", 1, "it is cheaper")
    row = site.database.rows(
        "SELECT triggered_by, metadata -> 'routing_choice' AS choice FROM rollout_history"
        " WHERE metadata ? 'routing_choice'"
    )
    assert [each["triggered_by"] for each in row] == ["cheapest"]
    assert row[0]["choice"] == move
    history = " ".join(site.reconcile("history", "--limit", "1").stdout.split())
    assert "rule 1, test: github_actions → inngest saves" in history
    assert "no choice changes" in site.reconcile("cost", "--resolve").stdout
    assert "matches the file" in site.reconcile("--dry-run").stdout


def test_a_decision_before_a_choice_and_after_it_is_repeated(site: Site) -> None:
    with_a_cheaper_fallback(site)
    before = site.database.value("SELECT clock_timestamp()").isoformat()
    site.reconcile("cost", "--resolve")
    site.replace(', to: cheapest, if: {error_rate: "<5%"}', ", to: github_actions")
    between = site.database.value("SELECT clock_timestamp()").isoformat()
    assert site.reconcile("--yes", "--allow", "max-shift").exit_code == 0

    def repeated(*at: str) -> str:
        done = site.reconcile("explain", "acme/tools", "--job", "reviews", "--format", "json", *at)
        return str(json.loads(done.stdout)["route"]["processor"])

    assert repeated("--at", before) == "github_actions"
    assert repeated("--at", between) == "inngest"
    assert repeated() == "github_actions"


def test_a_name_in_place_of_cheapest_takes_the_choice_back(site: Site) -> None:
    with_a_cheaper_fallback(site)
    site.reconcile("cost", "--resolve")
    site.replace(', to: cheapest, if: {error_rate: "<5%"}', ", to: github_actions")
    assert site.reconcile("--yes", "--allow", "max-shift").exit_code == 0
    assert processor_of_a_review(site) == "github_actions"


def test_nothing_is_chosen_while_a_rollback_is_in_force(site: Site) -> None:
    with_a_cheaper_fallback(site)
    site.reconcile("rollback", "--to", "50", "--reason", "a test", "--no-write-back")
    assert "no choice changes" in site.reconcile("cost", "--resolve").stdout


def test_the_jobs_that_run_now_are_shown(site: Site) -> None:
    applied(site)
    site.database.execute(
        "UPDATE rollout_processor SET concurrency = 20 WHERE name = 'github_actions';"
        "SELECT start_rollout_job('hybrid_progressive_capture', id) FROM repositories"
    )
    found = json.loads(site.reconcile("cost", "--format", "json").stdout)["running"]
    assert found == [
        {"processor": "github_actions", "running": 1, "running_of_all": 1, "concurrency": 20},
        {"processor": "inngest", "running": 0, "running_of_all": 0, "concurrency": None},
    ]
    text = " ".join(site.reconcile("cost").stdout.split())
    assert "running 1 of 20 jobs now on github_actions" in text


def test_values_that_sql_wrote_wrongly_are_an_error_of_one_line(site: Site) -> None:
    applied(site)
    site.database.execute("""UPDATE rollout_processor SET cost = '{"per_minute": -1}'""")
    done = site.reconcile("cost")
    assert done.exit_code != 0
    assert "the cost of 'github_actions' cannot be read" in done.stderr
    assert "Traceback" not in done.stderr
    site.database.execute("DELETE FROM rollout_processor")
    site.database.execute(
        """UPDATE rollout_configuration SET routing = '[{"to": "inngest", "because": ""}]'"""
    )
    done = site.reconcile("--dry-run")
    assert done.exit_code != 0
    assert "a rule in routing cannot be read" in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_is_chosen_during_a_freeze(site: Site) -> None:
    with_a_cheaper_fallback(site)
    freeze = '{name: year end, zone: UTC, from: "2020-01-01 00:00", to: "2199-01-01 00:00"}'
    site.write(f"{site.file.read_text()}freezes: [{freeze}]\n")
    done = site.reconcile("--yes")
    assert done.exit_code == 0, done.stdout + done.stderr
    assert "no choice changes" in site.reconcile("cost", "--resolve").stdout


def test_the_dashboard_shows_the_same_prices(site: Site) -> None:
    applied(site)
    found = json.loads(site.reconcile("cost", "--format", "json").stdout)

    page = Browser.of(site.database).get("/cost")
    unknown = Browser.of(site.database).get("/cost?feature=nothing")

    assert page.status_code == 200
    assert "running now" not in page.text
    site.database.execute(
        "SELECT start_rollout_job(%(feature)s, id) FROM repositories", feature=FEATURE
    )
    assert "running now" in Browser.of(site.database).get("/cost").text
    assert f"<td>{found['at_0']:,.4f}</td>" in page.text
    assert f"<td>{found['lines'][0]['price']:,.4f}</td>" in page.text
    assert (unknown.status_code, "no feature is called nothing" in unknown.text) == (404, True)
