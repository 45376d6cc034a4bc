"""A rule of approvals on GitHub: what waits, what does not, who can go on, and what an auditor finds."""

import csv
import io
import json

import pytest

from tests.github.events import pull_request
from tests.github.reviews import Account, PullRequest
from tests.github.server import FakeGitHub, Trouble
from tests.site import FIRST_FILE, Completed, Site

RULE = "approvals: {widening: 1}\n"
FEATURE = "hybrid_progressive_capture"
ALICE, BOB = Account("alice"), Account("bob")


@pytest.fixture
def job(site: Site, hub: FakeGitHub, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A site whose applied file has a rule, with the variables of a job on main."""
    for name, value in {**hub.environment(), "GITHUB_REF_NAME": "main"}.items():
        monkeypatch.setenv(name, value)
    hub.remote = site.remote
    site.write(FIRST_FILE + RULE)
    site.commit("Ask for approvals")
    assert apply(site).exit_code == 0
    assert hub.asked == []
    return site


def apply(site: Site, event: str = "push") -> Completed:
    return site.reconcile("github", "apply", env={"GITHUB_EVENT_NAME": event})


def raised(site: Site, hub: FakeGitHub, to: int = 20, rule: str = RULE) -> PullRequest:
    """Merge a pull request that raises the percentage, by a fast-forward."""
    site.write(FIRST_FILE.replace("percentage: 10", f"percentage: {to}") + rule)
    head = site.commit("Raise")
    made = PullRequest(7, head, ALICE, commits=[("alice", "alice")], brought={head})
    hub.pull_requests[7] = made
    return made


def percentage(site: Site) -> int:
    found = site.database.value("SELECT rollout_percentage::int FROM rollout_configuration")
    assert isinstance(found, int)
    return found


def test_a_widening_waits_for_its_approval_which_stands_in_history(
    job: Site, hub: FakeGitHub
) -> None:
    made = raised(job, hub)

    refused = apply(job)
    made.approve(BOB)
    scheduled = apply(job, "schedule")

    assert refused.exit_code == 3
    assert f"#7 at {made.head[:7]} has 0 of 1 approval" in refused.stdout
    assert "--allow approval --reason" in refused.stdout
    assert "Rollout-Allow" not in refused.stdout
    assert (scheduled.exit_code, percentage(job)) == (0, 20), scheduled.stdout
    who = f"bob (#7 at {made.head[:7]})"
    assert who in scheduled.stdout
    rows = list(csv.DictReader(io.StringIO(job.reconcile("history", "--format", "csv").stdout)))
    assert [each["approved_by"] for each in rows if each["action"] == "percentage_changed"] == [who]
    (feature,) = json.loads(job.reconcile("status", "--format", "json").stdout)["features"]
    assert feature["approval"]["approved_by"] == [{"name": "bob", "at": f"#7 at {made.head[:7]}"}]
    assert who in job.reconcile("status").stdout
    assert f"approved by {who}" in job.reconcile("history").stdout


def test_a_narrower_audience_needs_no_approval_and_no_request(job: Site, hub: FakeGitHub) -> None:
    job.write(FIRST_FILE.replace("percentage: 10", "percentage: 5") + RULE)
    job.commit("Lower")

    assert apply(job).exit_code == 0
    assert percentage(job) == 5
    assert hub.asked == []


def test_a_widening_waits_while_github_is_away_and_a_stop_does_not(
    job: Site, hub: FakeGitHub
) -> None:
    raised(job, hub).approve(BOB)
    limit = Trouble("POST", "graphql", 403, {"retry-after": "7200"})
    hub.troubles = [limit, limit]

    merged = apply(job)
    waiting = apply(job, "schedule")
    stopped = job.reconcile("stop", "--yes", "--no-write-back", "--reason", "it burns")
    resumed = job.reconcile("resume", "--yes", "--no-write-back", "--reason", "fixed")
    later = apply(job, "schedule")

    assert (merged.exit_code, waiting.exit_code, stopped.exit_code) == (3, 0, 0), merged.stdout
    assert "GitHub's rate limit is used up for 7200 seconds" in " ".join(merged.stdout.split())
    assert "to stop a feature now: reconcile stop" in " ".join(merged.stdout.split())
    assert (resumed.exit_code, later.exit_code, percentage(job)) == (0, 0, 20), later.stdout


def test_a_change_cannot_loosen_its_own_rule_nor_allow_itself(job: Site, hub: FakeGitHub) -> None:
    made = raised(job, hub, rule="")
    job.git("commit", "--quiet", "--amend", "-m", "Raise\n\nRollout-Allow: approval")
    made.head = job.git("rev-parse", "HEAD")
    made.brought = {made.head}

    refused = apply(job)

    assert refused.exit_code == 3
    assert "the rule of approvals would be looser" in refused.stdout
    assert "this widens the audience and needs 1 approval" in refused.stdout
    assert "a change does not approve itself" in refused.stdout
    made.approve(BOB)
    assert apply(job).exit_code == 0
    assert percentage(job) == 20


def test_a_stopped_feature_is_not_raised_without_an_approval(job: Site, hub: FakeGitHub) -> None:
    """A resume would widen the audience without an approval."""
    job.reconcile("stop", "--yes", "--no-write-back", "--reason", "it burns")
    raised(job, hub)

    assert apply(job).exit_code == 3


def test_a_person_who_applies_goes_through_with_a_reason(job: Site, hub: FakeGitHub) -> None:
    raised(job, hub)

    without = job.reconcile("--allow", "approval")
    done = job.reconcile("--allow", "approval", "--reason", "the night of the incident")

    assert without.exit_code == 64
    assert "--allow approval and --reason need each other" in without.stderr
    assert (done.exit_code, percentage(job)) == (0, 20), done.stdout
    shown = job.reconcile("history", "--format", "csv").stdout
    assert "allowed by" in shown
    assert "the night of the incident" in shown


def test_the_comment_says_which_approval_is_missing(job: Site, hub: FakeGitHub) -> None:
    base = job.git("rev-parse", "HEAD")
    made = raised(job, hub)
    made.merged, made.brought = False, set()
    made.approve(ALICE)
    event = job.folder.parent / "event.json"
    event.write_text(json.dumps(pull_request(7, head=made.head, base=base)))

    done = job.reconcile("github", "preview", env={"GITHUB_EVENT_PATH": str(event)})

    assert done.exit_code == 3
    (comment,) = [each["body"] for each in hub.comments.values()]
    assert "**Refused** by `approval`" in comment
    assert (
        f"#7 at {made.head[:7]} has 0 of 1 approval (alice is an author of the change)" in comment
    )
    made.approve(BOB)
    assert job.reconcile("github", "preview", env={"GITHUB_EVENT_PATH": str(event)}).exit_code == 0
    (comment,) = [each["body"] for each in hub.comments.values()]
    assert "**Approved** by `bob" in comment


def test_a_job_without_a_token_says_what_it_needs(job: Site, hub: FakeGitHub) -> None:
    raised(job, hub)

    done = job.reconcile("github", "apply", env={"GITHUB_TOKEN": None})

    assert done.exit_code == 3
    assert "GITHUB_TOKEN is not set" in done.stdout
