"""Notifications: what people hear of, through receivers as strict as the real services."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.builders import add_repositories, rollout_file
from tests.receivers import (
    ROUTING_KEY,
    SIGNING_SECRET,
    Answer,
    Receiver,
    check_pagerduty,
    check_slack,
    check_teams,
    check_webhook,
    receiver,
)
from tests.site import Site

CAPTURE = {"capture": {"percentage": 50, "guards": {"max_increase": 60}}}


@dataclass
class Receivers:
    """One receiver of each kind that speaks HTTP."""

    slack: Receiver
    teams: Receiver
    pagerduty: Receiver
    webhook: Receiver

    @property
    def environment(self) -> dict[str, str]:
        return {
            "ROLLOUT_NOTIFY_ALLOW_PRIVATE": "true",
            "ROLLOUT_ENVIRONMENT": "production",
            "ROLLOUT_NOTIFY_TEAM_URL": self.slack.url,
            "ROLLOUT_NOTIFY_OFFICE_URL": self.teams.url,
            "ROLLOUT_NOTIFY_ONCALL_URL": self.pagerduty.url,
            "ROLLOUT_NOTIFY_ONCALL_SECRET": ROUTING_KEY,
            "ROLLOUT_NOTIFY_AUDIT_URL": self.webhook.url,
            "ROLLOUT_NOTIFY_AUDIT_SECRET": SIGNING_SECRET,
        }


TARGETS = {
    "team": {"kind": "slack"},
    "office": {"kind": "teams"},
    "oncall": {"kind": "pagerduty", "severities": ["page"]},
    "audit": {"kind": "webhook"},
}


@pytest.fixture
def receivers() -> Iterator[Receivers]:
    with ExitStack() as stack:
        yield Receivers(
            stack.enter_context(receiver(check_slack)),
            stack.enter_context(receiver(check_teams, 202)),
            stack.enter_context(receiver(check_pagerduty, 202)),
            stack.enter_context(receiver(check_webhook)),
        )


@pytest.fixture
def notified(site: Site) -> Site:
    """A site whose file names a receiver of each kind, applied."""
    add_repositories(site.database, "acme/tools", "acme/site")
    site.write(rollout_file(CAPTURE, notifications=TARGETS))
    site.commit("Take half in, and notify")
    site.push()
    run(site)
    return site


def run(site: Site, *arguments: str, env: Mapping[str, str | None] | None = None) -> str:
    """Run a command that succeeds; its output."""
    done = site.reconcile(*arguments, env=env)
    assert done.exit_code == 0, done.stdout + done.stderr
    return done.stdout


def test_a_stop_pages_and_its_resume_resolves(notified: Site, receivers: Receivers) -> None:
    env = receivers.environment
    run(notified, "stop", "--reason", "jobs fail", env=env)
    run(notified, "notify", "deliver", env=env)
    (paged,) = receivers.pagerduty.received
    assert paged.body["event_action"] == "trigger"
    assert paged.body["payload"]["severity"] == "critical"
    assert paged.body["payload"]["custom_details"]["reason"] == "jobs fail"
    (posted,) = receivers.webhook.received
    assert posted.body["event"] == "stopped"
    assert posted.body["environment"] == "production"
    assert posted.body["facts"]["eligible"].startswith("0 of 2")
    run(notified, "resume", "--reason", "mended", env=env)
    run(notified, "notify", "deliver", env=env)
    resolved = receivers.pagerduty.received[-1].body
    assert resolved["event_action"] == "resolve"
    assert resolved["dedup_key"] == paged.body["dedup_key"]
    for each in (receivers.slack, receivers.teams, receivers.webhook, receivers.pagerduty):
        assert len(each.received) == 2
        assert each.refused == []


def test_break_glass_sql_pages_with_its_reason(notified: Site, receivers: Receivers) -> None:
    notified.database.execute("UPDATE rollout_configuration SET emergency_stop = true")
    notified.database.execute(
        "INSERT INTO rollout_history (rollout_config_id, action, reason, triggered_by)"
        " SELECT id, 'emergency_rollback', 'the night shift stopped it', 'grace'"
        " FROM rollout_configuration"
    )
    run(notified, "notify", "deliver", env=receivers.environment)
    (paged,) = receivers.pagerduty.received
    details = paged.body["payload"]["custom_details"]
    assert (details["reason"], details["by"]) == ("the night shift stopped it", "grace")
    notified.database.execute("UPDATE rollout_configuration SET emergency_stop = false")
    run(notified, "notify", "deliver", env=receivers.environment)
    assert receivers.pagerduty.received[-1].body["event_action"] == "resolve"


def test_an_act_that_is_rolled_back_reports_nothing(notified: Site, receivers: Receivers) -> None:
    with notified.database.connect() as connection:
        connection.execute("UPDATE rollout_configuration SET emergency_stop = true")
        connection.rollback()
    assert (
        run(notified, "notify", "deliver", env=receivers.environment) == "no message is due now\n"
    )


def test_a_receiver_that_is_down_gets_the_message_later(
    notified: Site, receivers: Receivers
) -> None:
    env = receivers.environment
    receivers.slack.script = [Answer(503), Answer(429, {"retry-after": "0"})]
    run(notified, "stop", "--reason", "jobs fail", env=env)
    failed = notified.reconcile("notify", "deliver", env=env)
    assert failed.exit_code == 1
    assert "team: capture: stopped" in failed.stdout
    assert receivers.webhook.received != []
    for exit_code in (1, 0):
        run(notified, "notify", "retry")
        assert notified.reconcile("notify", "deliver", env=env).exit_code == exit_code
    assert len(receivers.slack.received) == 1


def test_a_refusal_of_the_receiver_is_final_and_shown(notified: Site, receivers: Receivers) -> None:
    env = receivers.environment
    receivers.slack.script = [Answer(404)]
    run(notified, "stop", "--reason", "jobs fail", env=env)
    assert notified.reconcile("notify", "deliver", env=env).exit_code == 1
    assert "1 dead" in notified.reconcile("status").stdout
    listed = notified.reconcile("notify", "list", "--state", "dead").stdout
    assert "404 ok" in listed
    run(notified, "notify", "retry")
    run(notified, "notify", "deliver", env=env)
    assert len(receivers.slack.received) == 1


def test_a_page_that_is_tried_again_after_its_end_resolves_again(
    notified: Site, receivers: Receivers
) -> None:
    env = receivers.environment
    receivers.pagerduty.script = [Answer(400)]
    run(notified, "stop", "--reason", "jobs fail", env=env)
    assert notified.reconcile("notify", "deliver", env=env).exit_code == 1
    run(notified, "resume", "--reason", "mended", env=env)
    run(notified, "notify", "deliver", env=env)
    assert run(notified, "notify", "retry") == "2 messages will be tried again\n"
    run(notified, "notify", "deliver", env=env)
    run(notified, "notify", "deliver", env=env)
    actions = [each.body["event_action"] for each in receivers.pagerduty.received]
    assert actions == ["resolve", "trigger", "resolve"]
    keys = {each.body["dedup_key"] for each in receivers.pagerduty.received}
    assert len(keys) == 1


def test_a_thousand_features_at_once_are_one_message(notified: Site, receivers: Receivers) -> None:
    notified.database.execute(
        "INSERT INTO rollout_configuration (feature_name, rollout_percentage)"
        " SELECT 'f' || number, 50 FROM generate_series(1, 999) AS number"
    )
    notified.database.execute("UPDATE rollout_configuration SET emergency_stop = true")
    env = receivers.environment
    run(notified, "notify", "deliver", env=env)
    for each in (receivers.slack, receivers.teams, receivers.webhook, receivers.pagerduty):
        assert len(each.received) == 1
        assert each.refused == []
    assert "1,000 features stopped" in receivers.webhook.received[0].body["title"]
    notified.database.execute(
        "UPDATE rollout_configuration SET emergency_stop = false WHERE feature_name = 'f1'"
    )
    run(notified, "notify", "deliver", env=env)
    assert len(receivers.pagerduty.received) == 1, "999 features are still stopped"
    notified.database.execute("UPDATE rollout_configuration SET emergency_stop = false")
    run(notified, "notify", "deliver", env=env)
    (paged, resolved) = (each.body for each in receivers.pagerduty.received)
    assert resolved["event_action"] == "resolve"
    assert resolved["dedup_key"] == paged["dedup_key"]


def test_an_event_of_a_newer_release_waits_and_holds_no_other(
    notified: Site, receivers: Receivers
) -> None:
    run(notified, "stop", "--reason", "jobs fail", "--no-write-back")
    notified.database.execute("""
        INSERT INTO rollout_notification (target, event, severity, dedup_key, occurrence)
        VALUES ('team', 'invented_later', 'page', 'k', 'o');
        UPDATE rollout_notification SET created_at = created_at - interval '1 minute'
        WHERE event = 'invented_later'
    """)

    run(notified, "notify", "deliver", env=receivers.environment)

    assert "invented_later" not in run(notified, "notify", "list")
    assert notified.database.rows(
        "SELECT event, state, attempts FROM rollout_notification WHERE target = 'team' ORDER BY event"
    ) == [
        {"event": "invented_later", "state": "pending", "attempts": 0},
        {"event": "stopped", "state": "delivered", "attempts": 1},
    ]


def test_the_plan_shows_a_removed_receiver(notified: Site) -> None:
    kept = {name: each for name, each in TARGETS.items() if name != "oncall"}
    notified.write(rollout_file(CAPTURE, notifications=kept))
    plan = notified.reconcile("--dry-run").stdout
    assert "− oncall: pagerduty; severities page" in plan
    assert "1 change" in plan


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_a_sample_reaches_each_receiver(notified: Site, receivers: Receivers, name: str) -> None:
    said = run(notified, "notify", "test", name, env=receivers.environment)
    assert said.startswith(f"{name}: delivered: 20")


def test_a_sample_without_an_address_says_what_to_set(notified: Site) -> None:
    done = notified.reconcile("notify", "test", "audit")
    assert done.exit_code == 1
    assert "set ROLLOUT_NOTIFY_AUDIT_URL to the address" in done.stdout


def test_a_private_address_needs_permission(notified: Site, receivers: Receivers) -> None:
    env = {**receivers.environment, "ROLLOUT_NOTIFY_ALLOW_PRIVATE": None}
    env["ROLLOUT_NOTIFY_TEAM_URL"] = f"https://127.0.0.1:{receivers.slack.port}/"
    done = notified.reconcile("notify", "test", "team", env=env)
    assert "private network" in done.stdout
    assert receivers.slack.tried == []
