"""Messages as each receiver gets them: within its limits, and with hostile text as text."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from standardwebhooks.webhooks import Webhook

from reconciler.errors import SetupInvalid
from reconciler.notifications.chat import slack_message, teams_message
from reconciler.notifications.pagerduty import pagerduty_events
from reconciler.notifications.webhook import notification_schema, signed_headers, webhook_body
from reconciler.planning.notifications import Message, Notification, Surroundings, compose
from reconciler.rollout_file.notifications import EventName
from tests.hostile import TEXTS
from tests.receivers import (
    ROUTING_KEY,
    SIGNING_SECRET,
    check_pagerduty,
    check_slack,
    check_teams,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOSTILE = [
    "<!channel> <@U123> <https://evil.example|click>",
    "[click](https://evil.example) **bold** ![x](https://evil.example/x.png)",
    '<script>alert(1)</script> "quoted" & more',
    "{{template}} ${variable} %s %(name)s",
    "x" * 5_000,
    "مرحبا 🎉 日本語",
    *TEXTS.values(),
]


def row(
    event: EventName = EventName.STOPPED, feature: str | None = "capture", **details: Any
) -> Notification:
    return Notification(
        id=UUID(int=1),
        target="team",
        event=event,
        severity=event.severity,
        feature=feature,
        dedup_key=f"{feature}/1",
        details=details,
        created_at=NOW,
        attempts=1,
    )


def message(*rows: Notification, link: str | None = None) -> Message:
    surroundings = Surroundings("production", link, {"capture": (4, 20_140)})
    return compose(UUID(int=7), rows or (row(reason="jobs fail", by="ada"),), surroundings)


def test_a_message_says_what_why_who_how_many_and_what_to_do_next() -> None:
    said = message(
        row(EventName.ROLLED_BACK, before=50, after=0, reason="12 of 40 jobs failed", by="ada"),
        link="https://rollout.acme.example/",
    )
    assert said.text.splitlines() == [
        "capture: rolled back from 50 to 0 percent",
        "environment: production",
        "eligible: 4 of 20,140 repositories",
        "reason: 12 of 40 jobs failed",
        "by: ada",
        "next: reconcile health --feature capture",
        "https://rollout.acme.example/features/capture",
    ]


@pytest.mark.parametrize("event", EventName)
@pytest.mark.parametrize("feature", ["capture", None])
def test_each_event_has_a_title_and_a_next_command(event: EventName, feature: str | None) -> None:
    said = message(row(event, feature))
    assert said.title.startswith("capture: ") == (feature is not None)
    assert said.next_command.startswith("reconcile ")


def test_many_features_are_named_up_to_a_limit() -> None:
    said = message(*(row(feature=f"f{number}") for number in range(1_000)))
    assert said.title == (
        "1,000 features stopped: f0, f1, f2, f3, f4, f5, f6, f7, f8, f9 and 990 more"
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text_within_every_limit(text: str) -> None:
    said = message(row(reason=text, by=text), link="https://rollout.acme.example")
    slack = slack_message(said)
    assert check_slack({}, json.dumps(slack).encode()) is None
    assert {each["type"] for block in slack["blocks"] for each in _texts(block)} == {"plain_text"}
    assert "<" not in slack["text"]
    assert check_teams({}, json.dumps(teams_message(said)).encode()) is None
    (event,) = pagerduty_events(said, ROUTING_KEY)
    assert check_pagerduty({}, json.dumps(event).encode()) is None
    Draft202012Validator(notification_schema()).validate(json.loads(webhook_body(said)))


def _texts(block: dict[str, Any]) -> list[dict[str, Any]]:
    elements = [*block.get("fields", []), *block.get("elements", [])]
    if "text" in block:
        elements.append(block["text"])
    return [each.get("text") if each["type"] == "button" else each for each in elements]


@given(st.text(), st.text(min_size=1, max_size=60))
def test_no_text_breaks_a_limit(reason: str, feature: str) -> None:
    said = message(row(feature=feature, reason=reason))
    assert check_slack({}, json.dumps(slack_message(said)).encode()) is None
    assert check_teams({}, json.dumps(teams_message(said)).encode()) is None
    for event in pagerduty_events(said, ROUTING_KEY):
        assert check_pagerduty({}, json.dumps(event).encode()) is None


@pytest.mark.parametrize("rows", [1, 1_000])
def test_the_longest_texts_in_any_script_fit_a_card(rows: int) -> None:
    long = "🚀" * 1_000
    name = "🚀" * 255
    details: dict[str, Any] = {"reason": long, "by": long, "features": [name] * 10}
    surroundings = Surroundings(long, "https://rollout.acme.example")
    said = compose(UUID(int=7), [row(feature=name, **details)] * rows, surroundings)
    assert check_teams({}, json.dumps(teams_message(said)).encode()) is None


def test_the_next_command_and_the_link_are_whole_for_any_name() -> None:
    said = message(row(feature="x; touch y?"), link="https://rollout.acme.example")
    assert said.next_command == "reconcile health --feature 'x; touch y?'"
    assert said.link == "https://rollout.acme.example/features/x%3B%20touch%20y%3F"


@given(st.binary(min_size=1, max_size=200), st.uuids())
def test_the_public_library_accepts_each_signature(body: bytes, message_id: UUID) -> None:
    text = body.hex().encode()
    now = int(datetime.now(UTC).timestamp())
    headers = signed_headers(message_id, now, json.dumps(text.decode()).encode(), SIGNING_SECRET)
    assert Webhook(SIGNING_SECRET).verify(json.dumps(text.decode()), headers) == text.decode()


def test_a_secret_that_is_not_base64_is_refused_in_a_sentence() -> None:
    with pytest.raises(SetupInvalid, match="whsec_ and 24 to 64 bytes"):
        signed_headers(UUID(int=1), 0, b"{}", "not base64!")


def test_the_schema_in_the_repository_is_the_one_of_the_program() -> None:
    text = Path("schemas/notification.schema.json").read_text("utf-8")
    assert json.loads(text) == notification_schema()
