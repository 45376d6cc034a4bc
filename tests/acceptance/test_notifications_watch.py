"""The watch delivers notifications beside its own work, and reports what no statement in SQL shows."""

from collections.abc import Iterator

import pytest

from tests.builders import add_repositories, rollout_file
from tests.eventually import eventually
from tests.notifications import add_target, events, webhook_environment
from tests.receivers import Receiver, check_slack, check_webhook, receiver
from tests.site import Site
from tests.watching import Start, fail_jobs, take_half_in, watching


@pytest.fixture
def start(site: Site) -> Iterator[Start]:
    with watching(take_half_in(site)) as starting:
        yield starting


@pytest.fixture
def audit() -> Iterator[Receiver]:
    with receiver(check_webhook) as running:
        yield running


def test_a_mute_receiver_delays_neither_others_nor_a_rollback(
    site: Site, start: Start, audit: Receiver
) -> None:
    add_target(site.database, "audit", "webhook", severities=["page"])
    add_target(site.database, "team", "slack")
    with receiver(check_slack) as team:
        team.mute.set()
        env = {
            **webhook_environment("audit", audit),
            "ROLLOUT_NOTIFY_TEAM_URL": team.url,
        }
        watcher = start("--listen", "127.0.0.1:0", "--no-write-back", env=env)
        fail_jobs(site, "capture")
        audit.waits_for(1)
        fail_jobs(site, "export")
        audit.waits_for(2)
        assert [each.body["features"] for each in audit.received] == [["capture"], ["export"]]
        assert team.received == []
        eventually(lambda: watcher.metric('rollout_notifications{state="pending"}') >= 2)
        team.mute.clear()
        site.database.execute("UPDATE rollout_notification SET next_try_at = now()")
        team.waits_for(2)
        assert watcher.end() == 0


def test_a_watch_that_is_gone_is_reported_and_its_return_too(
    site: Site, start: Start, audit: Receiver
) -> None:
    add_target(site.database, "audit", "webhook")
    env = webhook_environment("audit", audit)
    start(env=env).tells("active")
    site.started[-1].kill()
    site.started[-1].wait()
    site.database.execute("UPDATE rollout_lease SET until = now() - interval '6 minutes'")
    site.reconcile("health", env=env)
    assert events(site.database) == [("watch_absent", None)]
    site.reconcile("health", env=env)
    assert events(site.database) == [("watch_absent", None)]
    start(env=env)
    audit.waits_for(2)
    assert [each.body["title"] for each in audit.received] == [
        "no watcher is active: failing features are not rolled back",
        "a watcher is active again",
    ]


def test_an_override_that_git_does_not_get_is_reported_once(
    site: Site, start: Start, audit: Receiver
) -> None:
    add_target(site.database, "audit", "webhook", events=["write_back_stuck"])
    site.reconcile("stop", "--feature", "capture", "--reason", "x", "--no-write-back")
    site.database.execute("UPDATE rollout_override SET updated_at = now() - interval '11 minutes'")
    start("--no-write-back", env=webhook_environment("audit", audit))
    (sent,) = audit.waits_for(1)
    assert sent.body["title"] == "capture: an override is not in git"
    assert sent.body["next"] == "reconcile write-back --feature capture"
    assert events(site.database) == [("write_back_stuck", "capture")]


def test_a_commit_that_is_refused_is_reported_once(site: Site) -> None:
    add_repositories(site.database, "a/b")
    targets = {"team": {"kind": "slack", "severities": ["ticket"]}}
    for percentage in (10, 90):
        site.write(rollout_file({"capture": {"percentage": percentage}}, notifications=targets))
        site.commit(f"Set {percentage}")
        site.reconcile()
    assert site.reconcile().exit_code == 3
    assert events(site.database) == [("refused", None)]
    assert "max-increase" in site.database.value(
        "SELECT details->>'reason' FROM rollout_notification"
    )
