"""The complete story, from a pull request to the resume, with only three short workflows."""

import shutil
from pathlib import Path

from tests.builders import report_jobs
from tests.github.events import pull_request, push, schedule
from tests.github.runner import Run, Runner
from tests.github.server import FakeGitHub
from tests.postgres import PROJECT
from tests.site import Site

FEATURE = "hybrid_progressive_capture"
PREVIEW = ".github/workflows/rollout-preview.yml"
ROLLOUT = ".github/workflows/rollout.yml"
HEALTH = "*/5 * * * *"


def adopt(site: Site) -> None:
    """Add the three workflows to the repository, beside its rollout.yaml."""
    shutil.copytree(PROJECT / "examples" / "github", site.folder / ".github" / "workflows")
    site.commit("Roll out on GitHub")
    site.push()


def change(site: Site, number: int, old: str, new: str) -> dict[str, object]:
    """Push a change of the file to a pull request's branch, with the merge that GitHub would make."""
    base = site.git("rev-parse", "origin/main")
    site.git("checkout", "--quiet", "-B", "change", "origin/main")
    site.replace(old, new)
    head = site.commit(f"Write {new.strip()}")
    site.git("push", "--quiet", "--force", "origin", "change", f"change:refs/pull/{number}/merge")
    return pull_request(number, head=head, base=base)


def merge(site: Site) -> dict[str, object]:
    """Merge the branch of the pull request."""
    site.git("fetch", "--quiet", "origin")
    site.git("checkout", "--quiet", "-B", "main", "origin/main")
    site.git("merge", "--quiet", "--no-ff", "--message", "Merge the change", "change")
    site.push()
    return push(site.git("rev-parse", "HEAD"))


def secrets(site: Site) -> dict[str, str]:
    url = site.database.url
    return {"ROLLOUT_DATABASE_URL": url, "ROLLOUT_READER_DATABASE_URL": url}


def live_percentage(site: Site) -> int:
    value: int = site.database.value("SELECT rollout_percentage::int FROM rollout_configuration")
    return value


def test_a_pull_request_an_error_burst_and_the_resume(
    site: Site, hub: FakeGitHub, runner: Runner, tmp_path: Path
) -> None:
    adopt(site)
    repositories = tmp_path / "repositories.csv"
    rows = "".join(f"acme/r{number},1,1,1\n" for number in range(200))
    repositories.write_text(f"full_name,stars,contributors,pull_requests\n{rows}")
    assert site.reconcile("repositories", "load", str(repositories)).exit_code == 0
    assert site.reconcile().exit_code == 0

    def run(workflow: str, name: str, event: dict[str, object]) -> Run:
        done = runner.run(workflow, name, event, secrets(site))
        assert done.succeeded, done.log
        assert site.database.url not in done.log + done.summary
        return done

    # A pull request changes 10 → 25, and then 30: one comment, kept up to date.
    run(PREVIEW, "pull_request", change(site, 7, "percentage: 10", "percentage: 25"))
    (comment,) = hub.comments.values()
    assert "| percentage | `10` | `25` |" in comment["body"]
    assert "of 200 repositories are eligible" in comment["body"]
    run(PREVIEW, "pull_request", change(site, 7, "percentage: 10", "percentage: 30"))
    (comment,) = hub.comments.values()
    assert "| percentage | `10` | `30` |" in comment["body"]

    # Merged: applied, with a summary.
    applied = run(ROLLOUT, "push", merge(site))
    assert (set(applied.jobs), live_percentage(site)) == ({"apply"}, 30)
    assert "Applied: 1 feature changed" in applied.summary

    # Jobs fail: the health job rolls back, commits, and opens an issue.
    report_jobs(site.database, 20, errors=20, feature=FEATURE)
    rolled_back = run(ROLLOUT, "schedule", schedule(HEALTH))
    assert rolled_back.jobs == {"health"}
    assert f"::error title=rolled back::{FEATURE}: error rate 100.00%" in rolled_back.log
    assert live_percentage(site) == 0
    assert "override:" in site.remote_text()
    (issue,) = hub.open_issues()
    assert issue["title"] == f"Rollout: {FEATURE} is limited"
    assert "is limited to 0 percent, by `auto-rollback`" in issue["body"]
    assert "error rate 100.00% over 5% (20 of 20 jobs in 24h)" in issue["body"]

    # A second run finds no further work.
    tip, asked = tip_of(site), hub.changes()
    run(ROLLOUT, "schedule", schedule(HEALTH))
    assert (tip_of(site), hub.changes()) == (tip, asked)

    # People remove the override in a pull request: resumed, and the issue is closed.
    site.git("fetch", "--quiet", "origin")
    block = override_block(site.remote_text())
    change(site, 8, block, "")
    run(ROLLOUT, "push", merge(site))
    assert live_percentage(site) == 30
    run(ROLLOUT, "schedule", schedule(HEALTH))
    assert hub.open_issues() == []
    assert live_percentage(site) == 30


def tip_of(site: Site) -> str:
    return site.git("ls-remote", "origin", "refs/heads/main")


def override_block(text: str) -> str:
    """Return the lines of the file with the feature's override."""
    lines = text.splitlines(keepends=True)
    first = next(
        number for number, line in enumerate(lines) if line.strip().startswith("override:")
    )
    depth = len(lines[first]) - len(lines[first].lstrip())
    last = first + 1
    while last < len(lines) and len(lines[last]) - len(lines[last].lstrip()) > depth:
        last += 1
    return "".join(lines[first:last])
