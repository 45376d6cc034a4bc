"""`reconcile github`: each command as its job calls it, against a small GitHub and a real remote."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.builders import add_repositories, report_jobs
from tests.github.events import pull_request
from tests.github.server import REPOSITORY, TOKEN, FakeGitHub, Trouble
from tests.site import FIRST_FILE, Completed, Site

FEATURE = "hybrid_progressive_capture"
PULLS = f"/repos/{REPOSITORY}/pulls"


@pytest.fixture
def job(site: Site, hub: FakeGitHub, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The site, with the variables of a job for a pull request."""
    for name, value in hub.environment().items():
        monkeypatch.setenv(name, value)
    event = site.folder.parent / "event.json"
    event.write_text(json.dumps(pull_request(7, head="a" * 40, base="b" * 40)))
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(event))
    monkeypatch.setenv("GITHUB_REF_NAME", "main")
    hub.remote = site.remote
    return site


def protect(site: Site) -> None:
    """Make the remote decline pushes to main."""
    hook = site.remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nif grep -q refs/heads/main; then echo protected >&2; exit 1; fi\n")
    hook.chmod(0o755)


def comments(hub: FakeGitHub) -> list[str]:
    return [each["body"] for each in hub.comments.values()]


def only_issue(hub: FakeGitHub) -> Any:
    (issue,) = hub.open_issues()
    return issue


def test_a_file_with_errors_is_commented_with_its_lines(job: Site, hub: FakeGitHub) -> None:
    job.replace("percentage: 10", "percentage: 500")

    done = job.reconcile("github", "preview")

    assert (done.exit_code, done.stderr) == (1, "")
    assert "::error file=rollout.yaml,line=5,col=5::" in done.stdout
    (comment,) = comments(hub)
    assert "- line 5, column 5: `features.hybrid_progressive_capture.percentage: 500" in comment


def test_a_plan_that_would_be_refused_is_commented_and_fails_the_check(
    job: Site, hub: FakeGitHub
) -> None:
    job.replace("percentage: 10", "percentage: 90")

    done = job.reconcile("github", "preview")

    assert done.exit_code == 3
    (comment,) = comments(hub)
    assert "Refused** by `max-increase`" in comment
    assert "Rollout-Allow: max-increase" in comment


def test_a_preview_that_another_merge_overtook_asks_for_an_update(
    job: Site, hub: FakeGitHub, tmp_path: Path
) -> None:
    base = job.git("rev-parse", "HEAD")
    job.git("checkout", "--quiet", "-b", "change")
    job.replace("percentage: 10", "percentage: 11")
    head = job.commit("Take more in")
    job.git("checkout", "--quiet", "main")
    applied = job.commit("Merge another one")
    job.reconcile()
    job.git("checkout", "--quiet", "change")

    def preview(base: str) -> Completed:
        event = tmp_path / "event.json"
        event.write_text(json.dumps(pull_request(7, head=head, base=base)))
        return job.reconcile("github", "preview", env={"GITHUB_EVENT_PATH": str(event)})

    overtaken, rewritten = preview(base), preview("b" * 40)

    assert (overtaken.exit_code, rewritten.exit_code) == (3, 3)
    assert (
        f"{applied[:7]} was applied after GitHub made the test merge with {base[:7]}"
        in overtaken.stdout
    )
    assert "--accept-history-rewrite" not in overtaken.stdout
    assert "history was rewritten" in rewritten.stdout


@pytest.mark.nightly
def test_a_preview_without_changes_replaces_the_comment(job: Site, hub: FakeGitHub) -> None:
    job.reconcile("github", "preview")
    job.reconcile()
    done = job.reconcile("github", "preview")

    assert done.exit_code == 0
    (comment,) = comments(hub)
    assert comment.startswith("### Rollout: no change")


@pytest.mark.parametrize(
    "command",
    [
        ("apply",),
        ("issue", "health"),
        *(
            pytest.param(command, marks=pytest.mark.nightly)
            for command in (("preview",), ("write-back",), ("issue", "drift"))
        ),
    ],
)
def test_a_job_without_its_secret_fails_and_starts_no_database(
    job: Site, hub: FakeGitHub, command: tuple[str, ...]
) -> None:
    done = job.reconcile("github", *command, env={"DATABASE_URL": ""})

    assert done.exit_code == 1
    assert "DATABASE_URL is not set; give the workflow the secret" in done.stdout
    assert not (job.folder / ".reconcile").exists()


def test_a_token_that_is_refused_is_never_shown(job: Site, hub: FakeGitHub) -> None:
    hub.troubles = [Trouble("GET", "comments", 401, body={"message": f"Bad credentials {TOKEN}"})]

    done = job.reconcile("github", "preview", "--verbose")

    assert done.exit_code == 1
    assert "GitHub rejects the token" in done.stdout
    assert TOKEN not in done.stdout + done.stderr


def test_a_stale_apply_succeeds_with_a_notice(job: Site) -> None:
    older = job.git("rev-parse", "HEAD")
    job.commit("Newer")
    job.reconcile()
    job.git("checkout", "--quiet", older)

    done = job.reconcile("github", "apply")

    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("::notice title=stale::")


def test_a_merge_in_a_freeze_fails_and_the_scheduled_runs_wait(job: Site, hub: FakeGitHub) -> None:
    assert job.reconcile().exit_code == 0
    job.write(
        FIRST_FILE.replace("percentage: 10", "percentage: 20")
        + "freezes:\n  - {name: holidays, from: 2020-01-01 00:00, to: 2199-12-31 12:00}\n"
    )
    job.commit("Raise in the holidays")

    preview = job.reconcile("github", "preview")
    merged = job.reconcile("github", "apply", env={"GITHUB_EVENT_NAME": "push"})
    scheduled = job.reconcile("github", "apply", env={"GITHUB_EVENT_NAME": "schedule"})

    (comment,) = comments(hub)
    sentence = "the freeze holidays holds every widening until tue 2199-12-31 12:00 UTC"
    assert sentence in comment
    assert (preview.exit_code, merged.exit_code, scheduled.exit_code) == (3, 3, 0)
    assert sentence in merged.stdout
    assert job.database.value("SELECT rollout_percentage::int FROM rollout_configuration") == 10


@pytest.mark.nightly
def test_an_uncommitted_file_is_not_applied(job: Site) -> None:
    job.replace("percentage: 10", "percentage: 11")

    done = job.reconcile("github", "apply")

    assert done.exit_code == 3
    assert "has changes that are not committed" in done.stdout


def test_a_protected_branch_gets_one_pull_request(job: Site, hub: FakeGitHub) -> None:
    job.reconcile()
    protect(job)
    job.reconcile("stop", "--yes", "--no-write-back", "--reason", "@everyone it burns")

    first = job.reconcile("github", "write-back")
    second = job.reconcile("github", "write-back")

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert [each for each in hub.changes() if each[1] == PULLS] == [("POST", PULLS)]
    (pull,) = hub.pulls.values()
    assert pull["head"]["ref"].startswith("rollout/override-")
    assert pull["base"]["ref"] == "main"
    assert "override:" in job.remote_text(pull["head"]["ref"])


@pytest.mark.nightly
def test_a_branch_pushed_without_a_token_gets_its_pull_request_later(
    job: Site, hub: FakeGitHub
) -> None:
    job.reconcile()
    protect(job)
    job.reconcile("stop", "--yes", "--no-write-back", "--reason", "it burns")
    job.reconcile("write-back")

    for _ in range(2):
        assert job.reconcile("github", "write-back").exit_code == 0

    assert hub.changes() == [("POST", PULLS)]


def test_a_feature_that_fails_and_may_not_roll_back_gets_an_issue(
    job: Site, hub: FakeGitHub
) -> None:
    job.write(FIRST_FILE + "    health:\n      auto_rollback: false\n      min_jobs: 1\n")
    job.commit("Roll nothing back")
    job.reconcile()
    add_repositories(job.database, "a/b")
    report_jobs(job.database, 1, errors=1, feature=FEATURE)

    job.reconcile("github", "issue", "health")

    assert only_issue(hub)["title"] == f"Rollout: {FEATURE} fails"


def test_drift_has_an_open_issue_until_it_is_settled(job: Site, hub: FakeGitHub) -> None:
    job.reconcile()

    def tell_after(sql: str) -> Completed:
        job.database.execute(sql)
        done = job.reconcile("github", "issue", "drift")
        assert done.exit_code == 0, done.stdout
        return done

    opened = tell_after("UPDATE rollout_configuration SET rollout_percentage = 5")
    assert "opened https://github.com/" in opened.stderr
    assert "rollout_percentage 10 → 5" in only_issue(hub)["body"]
    tell_after("UPDATE rollout_configuration SET rollout_percentage = 4")
    assert "rollout_percentage 10 → 4" in only_issue(hub)["body"]
    job.reconcile()
    tell_after("SELECT 1")
    assert hub.open_issues() == []
    assert [method for method, _ in hub.changes()] == ["POST", "PATCH", "PATCH"]


@pytest.mark.nightly
def test_the_issue_of_held_drift_asks_for_a_decision(job: Site, hub: FakeGitHub) -> None:
    job.write(FIRST_FILE + "    whitelist: [acme/*]\n")
    job.commit("Let acme in")
    job.reconcile()
    job.database.execute("UPDATE rollout_configuration SET target_repositories = '{}'")

    job.reconcile("github", "issue", "drift")

    assert "blocks every apply until a person decides" in only_issue(hub)["body"]


@pytest.mark.nightly
def test_a_run_without_a_pull_request_is_reported(job: Site, tmp_path: Path) -> None:
    event = tmp_path / "push.json"
    event.write_text("{}")

    done = job.reconcile("github", "preview", env={"GITHUB_EVENT_PATH": str(event)})

    assert done.exit_code == 1
    assert "this run is for no pull request" in done.stdout


@pytest.mark.nightly
def test_each_job_works_with_the_role_of_its_secret(job: Site, hub: FakeGitHub) -> None:
    assert job.reconcile("db", "roles", "--apply").exit_code == 0
    both = f"health_{os.getpid()}"
    job.database.execute(f"CREATE ROLE {both} IN ROLE rollout_safeguard, rollout_reconciler")
    try:
        refused = job.reconcile("github", "apply", env={"PGOPTIONS": "-c role=rollout_reader"})
        assert "permission denied" in refused.stdout, refused
        for role, command in (
            ("rollout_reader", ("github", "preview")),
            ("rollout_reconciler", ("github", "apply")),
            ("rollout_reader", ("github", "issue", "drift")),
            ("rollout_reader", ("github", "promote")),
            (both, ("health", "--rollback", "--no-write-back", "--format", "github")),
            (both, ("github", "write-back")),
            (both, ("github", "issue", "health")),
        ):
            done = job.reconcile(*command, env={"PGOPTIONS": f"-c role={role}"})
            assert (done.exit_code, "::error" in done.stdout) == (0, False), (command, done)
            if command == ("github", "issue", "drift"):
                job.reconcile("stop", "--yes", "--no-write-back", "--reason", "it burns")
    finally:
        job.database.execute(f"DROP ROLE {both}")
    assert "override:" in job.remote_text()
