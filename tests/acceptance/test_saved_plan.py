"""A saved plan is applied exactly as it was shown, or not at all."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from reconciler.cli import apply_flow
from reconciler.cli.options import Settings
from reconciler.database.transactions import Database
from reconciler.errors import Stale
from reconciler.operations import reconcile
from reconciler.planning.plan import Plan
from tests.builders import add_repositories
from tests.site import Site


@pytest.fixture
def planned(site: Site) -> Site:
    """A site with ten percent live and twenty desired, and the saved plan for that."""
    site.reconcile()
    site.replace("percentage: 10", "percentage: 20")
    site.commit("Take twenty percent in")
    assert site.reconcile("--dry-run", "--plan-out", "plan.json").exit_code == 0
    return site


def percentage(site: Site) -> int:
    value: int = site.database.value("SELECT rollout_percentage::int FROM rollout_configuration")
    return value


def test_a_saved_plan_is_applied(planned: Site) -> None:
    done = planned.reconcile("--plan-in", "plan.json")

    assert done.exit_code == 0, done.stderr
    assert percentage(planned) == 20


def test_a_saved_plan_is_refused_if_the_file_changed(planned: Site) -> None:
    planned.replace("percentage: 20", "percentage: 21")

    done = planned.reconcile("--plan-in", "plan.json")

    assert (done.exit_code, percentage(planned)) == (4, 10)
    assert "the file changed" in done.stderr


def test_a_saved_plan_is_refused_after_another_apply(planned: Site) -> None:
    planned.reconcile()
    planned.reconcile("--file", "rollout.yaml")

    done = planned.reconcile("--plan-in", "plan.json")

    assert done.exit_code == 4
    assert "generation 1 is 2 now" in done.stderr


def test_a_saved_plan_is_refused_if_the_live_state_changed(planned: Site) -> None:
    planned.database.execute("UPDATE rollout_configuration SET min_jobs = 99")

    done = planned.reconcile("--plan-in", "plan.json")

    assert (done.exit_code, percentage(planned)) == (4, 10)
    assert "the live state changed" in done.stderr


def test_a_saved_plan_is_refused_for_another_blast_radius(planned: Site) -> None:
    add_repositories(planned.database, *(f"a/r{number}" for number in range(50)))

    done = planned.reconcile("--plan-in", "plan.json")

    assert (done.exit_code, percentage(planned)) == (4, 10)
    assert "or the repositories did" in done.stderr


def test_a_permission_may_be_given_when_it_is_applied(site: Site) -> None:
    site.reconcile()
    site.replace("percentage: 10", "percentage: 90")
    refused = site.reconcile("--dry-run", "--plan-out", "plan.json")

    without = site.reconcile("--plan-in", "plan.json")
    allowed = site.reconcile("--plan-in", "plan.json", "--allow", "max-increase")

    assert (refused.exit_code, without.exit_code, allowed.exit_code) == (3, 3, 0)
    assert percentage(site) == 90


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "plan.json is not a saved plan"),
        ("{}", "plan.json is not a saved plan: applied: Field required"),
        ("[" * 100_000, "plan.json is not a saved plan"),
    ],
)
def test_an_invalid_plan_is_one_line(planned: Site, content: str, message: str) -> None:
    (planned.folder / "plan.json").write_text(content)

    done = planned.reconcile("--plan-in", "plan.json")

    assert (done.exit_code, percentage(planned)) == (1, 10)
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_plan_of_a_later_format_is_refused(planned: Site) -> None:
    path = planned.folder / "plan.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format_version": 2}))

    done = planned.reconcile("--plan-in", "plan.json")

    assert done.exit_code == 1
    assert "format_version" in done.stderr


@pytest.mark.parametrize(
    "arguments", [["--plan-out", "p.json"], ["--dry-run", "--plan-in", "p.json"]]
)
def test_options_that_do_not_go_together_are_refused(site: Site, arguments: list[str]) -> None:
    assert site.reconcile(*arguments).exit_code == 64


def test_a_plan_that_changed_after_the_question_is_not_applied(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.reconcile()

    def preview(database: Database, *arguments: Any) -> Plan:
        plan = reconcile.preview(database, *arguments)
        site.database.execute("UPDATE rollout_configuration SET min_jobs = 99")
        return plan

    settings = Settings(file=str(site.file), database_url=site.database.url)
    request = apply_flow.Request.make(settings)
    monkeypatch.setattr(
        apply_flow, "reconcile", SimpleNamespace(preview=preview, apply=reconcile.apply)
    )

    with pytest.raises(Stale, match="the live state changed"):
        apply_flow.apply_after_asking(request)
    assert site.database.value("SELECT min_jobs FROM rollout_configuration") == 99
