"""Messages for a webhook: a documented JSON object, signed by the rules of Standard Webhooks."""

import base64
import binascii
import hashlib
import hmac
from typing import Any, Final, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from reconciler.errors import SetupInvalid
from reconciler.planning.notifications import Message
from reconciler.rollout_file.notifications import EventName, Severity
from reconciler.rollout_file.schema_address import schema_address
from reconciler.wording import exact_time

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - how each secret begins


class WebhookNotification(BaseModel):
    """One notification. The id is the same on every try: drop what you have seen."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, title="Notification"
    )

    format_version: Literal[1] = 1
    id: UUID
    """The id of the message, also in the header webhook-id."""
    event: EventName
    severity: Severity
    environment: str
    """The rollout that the event belongs to, such as production."""
    features: list[str]
    """The features that the event concerns; empty for an event of all features."""
    incidents: list[str]
    """The keys of the incidents that the event opens, updates or resolves."""
    title: str
    """What happened, in one line."""
    facts: dict[str, str]
    """Why it happened and what was done, by label."""
    next: str
    """The next command."""
    link: str | None
    """The page of the dashboard, where there is one."""
    at: str
    """When it happened, in UTC."""
    details: list[dict[str, Any]]
    """What the database recorded of each event; keys may be added."""


def notification_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a notification."""
    schema = WebhookNotification.model_json_schema(mode="serialization")
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, "$id": schema_address("notification"), **schema}


def webhook_body(message: Message) -> bytes:
    """Return the body of a request."""
    return (
        WebhookNotification(
            id=message.id,
            event=message.event,
            severity=message.severity,
            environment=message.environment,
            features=list(message.features),
            incidents=list(message.incidents),
            title=message.title,
            facts=dict(message.facts),
            next=message.next_command,
            link=message.link,
            at=exact_time(message.at),
            details=[dict(each) for each in message.details],
        )
        .model_dump_json()
        .encode()
    )


def signed_headers(message_id: UUID, timestamp: int, body: bytes, secret: str) -> dict[str, str]:
    """Return the headers that prove the sender; `timestamp` is in seconds since 1970.

    Raises:
        SetupInvalid: the secret is not base64.
    """
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise SetupInvalid(
            "the signing secret of the webhook is not base64; write whsec_ and 24 to 64 bytes in base64"
        ) from None
    signed = b".".join((str(message_id).encode(), str(timestamp).encode(), body))
    signature = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return {
        "webhook-id": str(message_id),
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{signature}",
    }
