"""Two rollout files in one repository: the jobs of one do not change the other's texts and branches."""

import json
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.github.events import pull_request
from tests.github.server import BOT, FakeGitHub
from tests.postgres import Database
from tests.site import Completed, Site

FILE = """\
version: 1
features:
  capture:
    percentage: 10
    progression: [{percentage: 25, soak: 1d}, {percentage: 100, soak: 1d}]
"""


@dataclass(frozen=True)
class Environment:
    """One rollout file of the repository, and its database."""

    site: Site
    file: str
    database: Database

    def reconcile(self, *arguments: str) -> Completed:
        env = {"DATABASE_URL": self.database.url, "ROLLOUT_FILE": self.file}
        done = self.site.reconcile(*arguments, env=env)
        assert done.exit_code == 0, (self.file, arguments, done)
        return done

    def on_branch(self, branch: str = "main") -> str:
        self.site.git("fetch", "--quiet", "origin")
        return self.site.git("show", f"origin/{branch}:{self.file}")


@pytest.fixture
def environments(
    site: Site,
    hub: FakeGitHub,
    copy_of: Callable[[Database], Database],
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[Environment, Environment]:
    """`staging/rollout.yaml` and `production/rollout.yaml`, each applied to its own database."""
    for name, value in hub.environment().items():
        monkeypatch.setenv(name, value)
    event = site.folder.parent / "event.json"
    event.write_text(json.dumps(pull_request(7, head="a" * 40, base="b" * 40)))
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(event))
    monkeypatch.setenv("GITHUB_REF_NAME", "main")
    site.file.unlink()
    found = (
        Environment(site, "staging/rollout.yaml", copy_of(site.database)),
        Environment(site, "production/rollout.yaml", site.database),
    )
    for each in found:
        (site.folder / each.file).parent.mkdir()
        (site.folder / each.file).write_text(FILE)
    site.commit("Declare staging and production")
    site.push()
    for each in found:
        each.reconcile()
    return found


def test_each_preview_keeps_its_own_comment(
    environments: tuple[Environment, Environment], hub: FakeGitHub
) -> None:
    staging, production = environments
    folder = staging.site.folder
    (folder / staging.file).write_text(FILE.replace("percentage: 10\n", "percentage: 12\n"))
    (folder / production.file).write_text(FILE.replace("percentage: 10\n", "percentage: 11\n"))

    for each in (staging, production, staging):
        each.reconcile("github", "preview")

    first, second = (each["body"] for each in hub.comments.values())
    assert "| percentage | `10` | `12` |" in first
    assert "| percentage | `10` | `11` |" in second


def test_each_health_job_closes_its_own_incidents_only(
    environments: tuple[Environment, Environment], hub: FakeGitHub
) -> None:
    staging, production = environments
    for each in environments:
        each.reconcile("stop", "--yes", "--reason", f"errors in {each.file}")
        each.reconcile("github", "issue", "health")
    titles = [issue["title"] for issue in hub.open_issues()]
    assert len(titles) == 2
    assert all(each.file in title for each, title in zip(environments, titles, strict=True))

    staging.reconcile("resume", "--yes", "--reason", "fixed")
    staging.reconcile("github", "issue", "health")

    (left,) = hub.open_issues()
    assert production.file in left["title"]
    assert "errors in production/rollout.yaml" in left["body"]
    assert "override:" in production.on_branch()
    assert "override:" not in staging.on_branch()


def test_drift_of_one_file_keeps_the_issue_of_the_other(
    environments: tuple[Environment, Environment], hub: FakeGitHub
) -> None:
    staging, production = environments
    production.database.execute("UPDATE rollout_configuration SET rollout_percentage = 5")

    production.reconcile("github", "issue", "drift")
    staging.reconcile("github", "issue", "drift")

    (issue,) = hub.open_issues()
    assert production.file in issue["title"]


def test_each_promotion_has_its_own_branch_and_pull_request(
    environments: tuple[Environment, Environment], hub: FakeGitHub
) -> None:
    for each in (*environments, *environments):
        each.reconcile("github", "promote")

    pulls = [(pull["head"]["ref"], pull["title"]) for pull in hub.pulls.values()]
    assert pulls == [
        (f"rollout/file/{each.file}/promote-capture-25", f"Promote capture: 10 → 25 ({each.file})")
        for each in environments
    ]
    for each, other in zip(environments, reversed(environments), strict=True):
        branch = f"rollout/file/{each.file}/promote-capture-25"
        assert "percentage: 25\n" in each.on_branch(branch)
        assert "percentage: 10\n" in other.on_branch(branch)


def test_comments_and_issues_of_the_default_file_are_found_again(
    site: Site, hub: FakeGitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in hub.environment().items():
        monkeypatch.setenv(name, value)
    event = site.folder.parent / "event.json"
    event.write_text(json.dumps(pull_request(7, head="a" * 40, base="b" * 40)))
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(event))
    hub.add_comment(7, "old\n\n<!-- rollout-reconciler: preview -->", BOT, "NONE")
    hub.issues[8] = {
        "number": 8,
        "state": "open",
        "title": "Rollout: gone fails",
        "body": "old\n\n<!-- rollout-reconciler: health gone -->",
        "labels": [{"name": "rollout"}],
        "user": BOT,
        "author_association": "NONE",
        "html_url": "https://github.com/acme/rollouts/issues/8",
    }

    for file in ("rollout.yaml", "./rollout.yaml", str(site.file)):
        assert site.reconcile("--file", file, "github", "preview").exit_code == 0
        assert site.reconcile("--file", file, "github", "issue", "health").exit_code == 0

    (comment,) = hub.comments.values()
    assert comment["body"].startswith("### Rollout:")
    assert hub.open_issues() == []
