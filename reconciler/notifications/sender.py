"""Sending one message to one target."""

import json
import os
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from reconciler.errors import ReconcilerError, SetupInvalid
from reconciler.notifications.address import TargetAddress, read_address
from reconciler.notifications.outcome import Outcome, Result
from reconciler.planning.notifications import Message
from reconciler.rollout_file.notifications import TargetKind

VARIABLES: Final = "ROLLOUT_NOTIFY_"
ADDRESSES: Final = "ROLLOUT_NOTIFY_ADDRESSES"
"""A variable that holds other variables, one a line."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Sends messages to the addresses of an environment."""

    environment: Mapping[str, str]
    tls: ssl.SSLContext | None = None
    """For email; None for the system's certificates."""

    def send(self, name: str, kind: TargetKind, message: Message) -> Outcome:
        """Send a message once; return the outcome. A wrong setting counts as a failed try."""
        try:
            address = read_address(name, kind, self.environment)
        except SetupInvalid as problem:
            return Outcome(Result.AGAIN, str(problem))
        try:
            outcome = self._send(kind, message, address)
        except ReconcilerError as problem:
            outcome = Outcome(Result.AGAIN, str(problem))
        return Outcome(
            outcome.result, address.without_secrets(outcome.answer), outcome.retry_after_seconds
        )

    def _send(self, kind: TargetKind, message: Message, address: TargetAddress) -> Outcome:
        from reconciler.notifications import chat, pagerduty, webhook

        match kind:
            case TargetKind.SLACK:
                return self._post_all(address, [chat.slack_message(message)])
            case TargetKind.TEAMS:
                return self._post_all(address, [chat.teams_message(message)])
            case TargetKind.PAGERDUTY:
                events = pagerduty.pagerduty_events(message, address.secret or "")
                return self._post_all(address, events)
            case TargetKind.WEBHOOK:
                body = webhook.webhook_body(message)
                headers = webhook.signed_headers(
                    message.id, int(time.time()), body, address.secret or ""
                )
                return self._post(address, body, headers)
            case TargetKind.EMAIL:
                return self._email(message, address)
            case TargetKind.APPRISE:
                return _apprise(message, address)

    @property
    def _allows_private(self) -> bool:
        from reconciler.notifications.http import ALLOW_PRIVATE

        return self.environment.get(ALLOW_PRIVATE, "").lower() == "true"

    def _post_all(self, address: TargetAddress, bodies: Sequence[dict[str, Any]]) -> Outcome:
        """Send each request; stop at the first that is not delivered. All of them are repeatable."""
        outcome = Outcome(
            Result.DELIVERED, "nothing to send: other features keep the incident open"
        )
        for body in bodies:
            outcome = self._post(address, json.dumps(body).encode(), {})
            if outcome.result is not Result.DELIVERED:
                break
        return outcome

    def _post(self, address: TargetAddress, body: bytes, headers: Mapping[str, str]) -> Outcome:
        from reconciler.notifications.http import Post, send

        return send(Post(address.url, body, headers), allows_private=self._allows_private)

    def _email(self, message: Message, address: TargetAddress) -> Outcome:
        from reconciler.notifications.email import Mailbox, send_email

        return send_email(
            message,
            Mailbox.parse(address.url),
            allows_private=self._allows_private,
            context=self.tls or ssl.create_default_context(),
        )


def sender_of_this_process() -> Sender:
    """Return the sender with the addresses of this process's environment."""
    return Sender({**_listed(os.environ.get(ADDRESSES, "")), **os.environ})


def _listed(text: str) -> dict[str, str]:
    """Return the variables of a text with a `NAME=value` in each line: a workflow has no other way."""
    lines = (line.strip().partition("=") for line in text.splitlines())
    return {name: value for name, _, value in lines if name.startswith(VARIABLES)}


def _apprise(message: Message, address: TargetAddress) -> Outcome:
    try:
        import apprise
    except ImportError:
        raise SetupInvalid(
            "targets of kind apprise need its package: pip install 'rollout-reconciler[apprise]'"
        ) from None
    receiver = apprise.Apprise()
    if not receiver.add(address.url):
        raise SetupInvalid("apprise does not know the address of the target")
    is_sent = receiver.notify(
        title=message.title, body=message.text, body_format=apprise.NotifyFormat.TEXT
    )
    if is_sent:
        return Outcome(Result.DELIVERED, "accepted by apprise")
    return Outcome(Result.AGAIN, "apprise could not deliver it")
