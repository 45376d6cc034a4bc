"""Receivers of notifications for tests: as strict as the services that they stand for.

Each checks a request by the published rules of its service, and answers what the service answers.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.eventually import eventually

SIGNING_SECRET: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ROUTING_KEY: Final = "R0UT1NGKEY0123456789ABCDEF012345"

Check = Callable[[dict[str, str], bytes], str | None]
"""Returns what is wrong with a request; None for a good one."""


@dataclass(frozen=True)
class Answer:
    """A scripted answer."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    """How long the receiver says nothing."""


@dataclass(frozen=True)
class Received:
    """A request that was accepted."""

    path: str
    headers: dict[str, str]
    body: Any
    at: float


@dataclass
class Receiver:
    """A running receiver."""

    port: int
    check: Check
    good_status: int
    received: list[Received] = field(default_factory=list)
    """The requests that were accepted, in order."""
    tried: list[bytes] = field(default_factory=list)
    """The bodies of all requests."""
    refused: list[str] = field(default_factory=list)
    """What was wrong with the others."""
    script: list[Answer] = field(default_factory=list)
    """Answers for the next requests, before any check."""
    mute: threading.Event = field(default_factory=threading.Event)
    """While it is set, no request is answered."""
    at: Callable[[str], None] = lambda _reached: None
    """Called at each step of a request."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def waits_for(self, number: int = 1) -> list[Received]:
        """Wait until this number of requests was accepted; return all of them."""
        eventually(lambda: len(self.received) >= number)
        return self.received

    def answer(self, headers: dict[str, str], body: bytes, path: str) -> Answer:
        self.tried.append(body)
        if self.script:
            return self.script.pop(0)
        problem = self.check(headers, body)
        if problem is not None:
            self.refused.append(problem)
            return Answer(400)
        self.received.append(Received(path, headers, json.loads(body), time.monotonic()))
        return Answer(self.good_status)


@contextmanager
def receiver(check: Check, good_status: int = 200) -> Iterator[Receiver]:
    """A receiver on a port of this machine."""
    made: list[Receiver] = []
    is_over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            body = self.rfile.read(length)
            if len(body) < length:
                # The sender was killed while it sent.
                self.close_connection = True
                return
            made[0].at("the request is read")
            headers = {name.lower(): value for name, value in self.headers.items()}
            while made[0].mute.is_set() and not is_over.wait(0.02):
                pass
            answer = made[0].answer(headers, body, self.path)
            made[0].at("the message is taken, and not answered")
            if answer.seconds:
                is_over.wait(answer.seconds)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"ok")
            self.wfile.flush()
            made[0].at("the message is answered")

        def log_message(self, *_arguments: object) -> None:
            """Log nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def process_request(self, request: Any, client_address: Any) -> None:
            made[0].at("the connection is made")
            super().process_request(request, client_address)

        def handle_error(self, request: object, client_address: object) -> None:
            """Ignore a sender that was killed."""

    server = Server(("127.0.0.1", 0), Handler)
    made.append(Receiver(server.server_address[1], check, good_status))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield made[0]
    finally:
        is_over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "properties": properties}


def _text(most: int, *kinds: str) -> dict[str, Any]:
    text = {"type": "string", "minLength": 1, "maxLength": most}
    return _object(["type", "text"], type={"enum": [*kinds]}, text=text)


_BUTTON = _object(
    ["type", "text", "url"],
    type={"const": "button"},
    text=_text(75, "plain_text"),
    url={"type": "string", "maxLength": 3_000},
)
_BLOCKS = {
    "header": _object(["text"], text=_text(150, "plain_text")),
    "section": _object(
        ["fields"],
        fields={
            "type": "array",
            "minItems": 1,
            "maxItems": 10,
            "items": _text(2_000, "plain_text", "mrkdwn"),
        },
    ),
    "context": _object(
        ["elements"],
        elements={"type": "array", "maxItems": 10, "items": _text(3_000, "plain_text", "mrkdwn")},
    ),
    "actions": _object(["elements"], elements={"type": "array", "maxItems": 25, "items": _BUTTON}),
}
_SLACK = _object(
    ["text", "blocks"],
    text={"type": "string", "minLength": 1, "maxLength": 40_000},
    blocks={
        "type": "array",
        "minItems": 1,
        "maxItems": 50,
        "items": {
            "type": "object",
            "properties": {"type": {"enum": [*_BLOCKS]}},
            "allOf": [
                {"if": {"properties": {"type": {"const": kind}}}, "then": block}
                for kind, block in _BLOCKS.items()
            ],
        },
    },
)
"""Block Kit, as its reference limits it."""

_DEDUP_KEY = {"type": "string", "minLength": 1, "maxLength": 255}
_PAGERDUTY = _object(
    ["routing_key", "event_action", "dedup_key"],
    routing_key={"const": ROUTING_KEY},
    event_action={"enum": ["trigger", "acknowledge", "resolve"]},
    dedup_key=_DEDUP_KEY,
    payload=_object(
        ["summary", "source", "severity"],
        summary={"type": "string", "minLength": 1, "maxLength": 1_024},
        source={"type": "string", "minLength": 1},
        severity={"enum": ["critical", "error", "warning", "info"]},
    ),
) | {
    "if": {"properties": {"event_action": {"const": "trigger"}}},
    "then": {"required": ["payload"]},
}
"""Events API v2."""

_RUN = _object(["type", "text"], type={"const": "TextRun"}, text={"type": "string", "minLength": 1})
_TEAMS = _object(
    ["type", "attachments"],
    type={"const": "message"},
    attachments={
        "type": "array",
        "minItems": 1,
        "maxItems": 1,
        "items": _object(
            ["contentType", "content"],
            contentType={"const": "application/vnd.microsoft.card.adaptive"},
            content=_object(
                ["type", "version", "body"],
                type={"const": "AdaptiveCard"},
                body={
                    "type": "array",
                    "items": _object(
                        ["type", "inlines"],
                        type={"const": "RichTextBlock"},
                        inlines={"type": "array", "minItems": 1, "items": _RUN},
                    ),
                },
            ),
        ),
    },
)
"""A workflow's webhook takes a message with one adaptive card."""
MAX_TEAMS_BYTES: Final = 24_000
"""The workflow adds its own properties: a card of 24,453 bytes was 28,897 then, over the limit of 28,672."""


def _check(schema: dict[str, Any], body: bytes) -> str | None:
    error = best_match(Draft202012Validator(schema).iter_errors(json.loads(body)))
    return None if error is None else f"{error.json_path}: {error.message}"


def check_slack(_headers: dict[str, str], body: bytes) -> str | None:
    """Check a message against the limits of Block Kit."""
    return _check(_SLACK, body)


def check_pagerduty(_headers: dict[str, str], body: bytes) -> str | None:
    """Check an event against the rules of the Events API v2."""
    return _check(_PAGERDUTY, body)


def check_teams(_headers: dict[str, str], body: bytes) -> str | None:
    """Check a message against the rules of a workflow's webhook."""
    return "the size" if len(body) > MAX_TEAMS_BYTES else _check(_TEAMS, body)


def check_webhook(headers: dict[str, str], body: bytes) -> str | None:
    """Standard Webhooks: signature and age, by the public library."""
    try:
        Webhook(SIGNING_SECRET).verify(body.decode(), headers)
    except WebhookVerificationError as error:
        return str(error)
    return None
