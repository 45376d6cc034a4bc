"""Names that the program leaves in git and on GitHub and finds again: branches, trailers, markers, labels."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contracts.record import check_lines
from tests.github.events import pull_request
from tests.github.server import FakeGitHub
from tests.site import Completed, Site

FILE = """\
version: 1
features:
  capture:
    percentage: 10
    progression: [{percentage: 20, soak: 1d}, {percentage: 100, soak: 1d}]
"""


@pytest.fixture
def hub() -> Iterator[FakeGitHub]:
    with FakeGitHub().serving() as fake:
        yield fake
    assert fake.wrong == []


@pytest.fixture
def job(site: Site, hub: FakeGitHub, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A site whose file is applied, with the variables of a job for a pull request."""
    for name, value in hub.environment().items():
        monkeypatch.setenv(name, value)
    event = site.folder.parent / "event.json"
    event.write_text(json.dumps(pull_request(7, head="a" * 40, base="b" * 40)))
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(event))
    monkeypatch.setenv("GITHUB_REF_NAME", "main")
    site.write(FILE)
    site.commit("Begin")
    site.push()
    run(site, "--yes")
    hub.remote = site.remote
    return site


def test_commits_of_write_back_and_promotion(job: Site) -> None:
    run(job, "github", "promote")
    run(job, "stop", "--yes", "--reason", "it hurts")
    run(job, "resume", "--yes", "--reason", "fixed")

    commits = {
        "stop": "main~1",
        "resume": "main",
        "promotion": "rollout/promote-capture-20",
    }
    check_lines("commits", commit_lines(job, commits))


def test_branches_and_pull_requests(job: Site, hub: FakeGitHub) -> None:
    protect(job)
    run(job, "github", "promote")
    run(job, "stop", "--yes", "--no-write-back", "--reason", "it hurts")
    run(job, "github", "write-back")
    # A person merges the proposal.
    (job.remote / "hooks" / "pre-receive").unlink()
    job.git("pull", "--quiet", "origin", override_branch(hub))
    job.push()
    run(job, "--yes")
    run(job, "write-back")
    protect(job)
    run(job, "resume", "--yes", "--no-write-back", "--reason", "fixed")
    run(job, "github", "write-back")

    (identifier,) = job.database.rows("SELECT id::text FROM rollout_override")
    branches = job.git("ls-remote", "--heads", "origin").split()[1::2]
    check_lines("branches", (each.replace(identifier["id"], "ID") for each in branches))
    proposed = {f"refs/heads/{pull['head']['ref']}" for pull in hub.pulls.values()}
    assert proposed == set(branches) - {"refs/heads/main"}


def test_comments_and_issues(job: Site, hub: FakeGitHub) -> None:
    job.replace("percentage: 10\n", "percentage: 11\n")
    planned = json.loads(run(job, "--dry-run", "--format", "json").stdout)
    run(job, "github", "preview")
    job.git("checkout", "--quiet", "rollout.yaml")
    job.database.execute("UPDATE rollout_configuration SET rollout_percentage = 5")
    run(job, "github", "issue", "drift")
    run(job, "stop", "--yes", "--no-write-back", "--reason", "it hurts")
    run(job, "github", "issue", "health")

    (comment,) = hub.comments.values()
    lines = {
        *(f"comment {marker}" for marker in markers(comment)),
        *(f"issue {marker}" for issue in hub.issues.values() for marker in markers(issue)),
        *(f"label {label['name']}" for issue in hub.issues.values() for label in issue["labels"]),
    }
    check_lines("markers", (line.replace(planned["plan_digest"], "PLAN-DIGEST") for line in lines))


def test_a_trailer_allows_what_a_guard_refuses(site: Site) -> None:
    run(site, "--yes")
    site.replace("percentage: 10\n", "percentage: 90\n")
    site.commit("Go on")

    refused = site.reconcile("--yes")
    site.git("commit", "--quiet", "--amend", "--message", "Go on\n\nRollout-Allow: max-increase")

    assert refused.exit_code == 3
    run(site, "--yes")


def run(site: Site, *arguments: str) -> Completed:
    done = site.reconcile(*arguments)
    assert done.exit_code == 0, (arguments, done)
    return done


def protect(site: Site) -> None:
    """Make the remote decline pushes to main."""
    hook = site.remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nif grep -q refs/heads/main; then exit 1; fi\n")
    hook.chmod(0o755)


def override_branch(hub: FakeGitHub) -> str:
    branches = [str(pull["head"]["ref"]) for pull in hub.pulls.values()]
    (found,) = (each for each in branches if "override" in each)
    return found


def commit_lines(site: Site, commits: dict[str, str]) -> Iterator[str]:
    """Return the people in commits of the remote, and their trailers without values."""
    site.git("fetch", "--quiet", "origin")
    for name, commit in commits.items():
        shown = "%an <%ae>%n%cn <%ce>%n%(trailers:only,unfold)"
        text = site.git("show", "--no-patch", f"--format={shown}", f"origin/{commit}")
        author, committer, *trailers = text.splitlines()
        yield f"{name}: author {author}"
        yield f"{name}: committer {committer}"
        yield from (f"{name}: trailer {each.partition(':')[0]}" for each in trailers if each)


def markers(entry: Any) -> list[str]:
    return [line for line in entry["body"].splitlines() if line.startswith("<!--")]
