"""Messages as PagerDuty's Events API v2 takes them: an alert is opened, and resolved under the same key."""

from collections.abc import Sequence
from typing import Any, Final

from reconciler.planning.notifications import Message
from reconciler.rollout_file.notifications import Severity
from reconciler.wording import exact_time

MAX_SUMMARY: Final = 1_024
MAX_KEY: Final = 255

_SEVERITIES: Final = {
    Severity.PAGE: "critical",
    Severity.TICKET: "warning",
    Severity.INFO: "info",
}


def pagerduty_events(message: Message, routing_key: str) -> Sequence[dict[str, Any]]:
    """Return the events of a message; a resolution that ends no incident yet has none."""
    if message.resolves:
        return [
            {
                "routing_key": routing_key,
                "event_action": "resolve",
                "dedup_key": _key(message, incident),
            }
            for incident in message.incidents
        ]
    return [
        {
            "routing_key": routing_key,
            "event_action": "trigger",
            "dedup_key": _key(message, incident),
            "client": "rollout-reconciler",
            "payload": {
                "summary": message.title[:MAX_SUMMARY],
                "source": message.environment,
                "severity": _SEVERITIES[message.severity],
                "timestamp": exact_time(message.at),
                "class": message.event.value,
                "component": ", ".join(message.features)[:MAX_SUMMARY] or "rollout",
                "custom_details": {**dict(message.facts), "next": message.next_command},
            },
            "links": [] if message.link is None else [{"href": message.link, "text": "Dashboard"}],
        }
        for incident in message.incidents
    ]


def _key(message: Message, incident: str) -> str:
    return f"{message.environment}/{incident}"[-MAX_KEY:]
