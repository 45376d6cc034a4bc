"""Write-back on GitHub: the API makes the commits, so GitHub signs them."""

import json
from pathlib import Path

import pytest

from tests.github.commits import SIGNER
from tests.github.server import FakeGitHub, Trouble
from tests.overrides import limit
from tests.site import Site
from tests.writing_back import apply_file, block, commits, entered, remote_git


@pytest.fixture
def job(site: Site, hub: FakeGitHub, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The site, applied, with the variables of a job on its default branch."""
    for name, value in hub.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GITHUB_REF_NAME", "main")
    hub.remote = site.remote
    apply_file(site)
    return site


def mutations(hub: FakeGitHub) -> int:
    return sum(path == "/graphql" for _, path in hub.changes())


def test_an_override_is_committed_by_github(job: Site, hub: FakeGitHub) -> None:
    override = limit(job.database)

    done = job.reconcile("github", "write-back")
    again = job.reconcile("github", "write-back")

    assert (done.exit_code, again.exit_code) == (0, 0), done.stdout + done.stderr
    found = block(job)
    assert found is not None
    assert found.id == override
    newest = commits(job)[0]
    assert newest.committer == SIGNER
    assert newest.override == str(override)
    assert newest.message.startswith("Stop hybrid_progressive_capture: ")
    assert mutations(hub) == 1


def test_two_overrides_are_two_commits_in_a_row(job: Site, hub: FakeGitHub) -> None:
    job.write(
        "version: 1\nfeatures:\n  one: {percentage: 10}\n"
        "  two: {percentage: 10}\n  hybrid_progressive_capture: {percentage: 10}\n"
    )
    job.commit("Two features")
    job.push()
    apply_file(job)
    for feature in ("one", "two"):
        limit(job.database, feature)

    assert job.reconcile("github", "write-back").exit_code == 0

    assert [each.feature for each in commits(job)[:2]] == ["two", "one"]
    assert {each.committer for each in commits(job)[:2]} == {SIGNER}


def test_a_branch_that_moved_meanwhile_is_looked_at_again(job: Site, hub: FakeGitHub) -> None:
    override = limit(job.database)
    stale = {
        "data": {"createCommitOnBranch": None},
        "errors": [{"type": "STALE_DATA", "message": "Expected branch to point elsewhere"}],
    }
    (job.folder / "other.txt").write_text("other")
    moved = job.commit("Meanwhile")
    job.push()
    job.git("reset", "--quiet", "--hard", "HEAD~1")
    hub.troubles = [Trouble("POST", "graphql", 200, body=stale)]

    done = job.reconcile("github", "write-back")

    assert done.exit_code == 0, done.stdout + done.stderr
    assert entered(job, override) == 1
    assert remote_git(job.remote, "merge-base", moved, "main") == moved


def test_an_answer_that_is_lost_leaves_one_commit(job: Site, hub: FakeGitHub) -> None:
    override = limit(job.database)
    hub.troubles = [Trouble("POST", "graphql", after=True)]

    done = job.reconcile("github", "write-back")

    assert done.exit_code == 0, done.stdout + done.stderr
    assert entered(job, override) == 1
    assert mutations(hub) == 1


def test_a_protected_branch_gets_a_signed_proposal(job: Site, hub: FakeGitHub) -> None:
    hook = job.remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nif grep -q refs/heads/main; then echo protected >&2; exit 1; fi\n")
    hook.chmod(0o755)
    override = limit(job.database)

    job.reconcile("github", "write-back")
    job.reconcile("github", "write-back")

    (pull,) = hub.pulls.values()
    branch = f"rollout/override-{override}"
    assert pull["head"]["ref"] == branch
    assert commits(job, branch)[0].committer == SIGNER
    assert block(job, branch=branch) is not None
    assert block(job) is None


def test_a_branch_that_a_killed_job_left_empty_is_filled(job: Site, hub: FakeGitHub) -> None:
    hook = job.remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nif grep -q refs/heads/main; then echo protected >&2; exit 1; fi\n")
    hook.chmod(0o755)
    override = limit(job.database)
    branch = f"rollout/override-{override}"
    job.git("push", "--quiet", "origin", f"HEAD:refs/heads/{branch}")

    job.reconcile("github", "write-back")

    assert block(job, branch=branch) is not None


def test_what_goes_to_github_is_the_file_and_no_secret(job: Site, hub: FakeGitHub) -> None:
    limit(job.database)

    job.reconcile("github", "write-back")

    (asked,) = (each for each in hub.asked if each.path == "/graphql")
    assert [
        each["path"] for each in asked.body["variables"]["input"]["fileChanges"]["additions"]
    ] == [Path("rollout.yaml").as_posix()]
    assert "postgresql" not in json.dumps(asked.body)
