"""Messages as Slack and Teams show them. The text of people and jobs is never read as markup."""

from typing import Any, Final

from reconciler.planning.notifications import Message
from reconciler.rollout_file.notifications import Severity

MAX_SLACK_HEADER: Final = 150
MAX_SLACK_TEXT: Final = 3_000
MAX_SLACK_FIELD: Final = 2_000
MAX_SLACK_FIELDS: Final = 10
MAX_TEAMS_TEXT: Final = 250
"""A card stays below 24 KB in any script: the workflow answers 202, and then drops a larger one."""

_SIGNS: Final = {Severity.PAGE: "🔴", Severity.TICKET: "🟠", Severity.INFO: "🟢"}
_TEAMS_COLORS: Final = {
    Severity.PAGE: "Attention",
    Severity.TICKET: "Warning",
    Severity.INFO: "Good",
}


def slack_message(message: Message) -> dict[str, Any]:
    """Return the blocks of a message, within Slack's limits, with a text for notifications."""
    title = f"{_SIGNS[message.severity]} {message.title}"
    facts = [
        _plain(f"{label}: {value}", MAX_SLACK_FIELD)
        for label, value in message.facts[:MAX_SLACK_FIELDS]
    ]
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": _plain(title, MAX_SLACK_HEADER)},
        {"type": "section", "fields": facts},
        {"type": "context", "elements": [_plain(f"Next: {message.next_command}", MAX_SLACK_TEXT)]},
    ]
    if message.link is not None:
        button = {
            "type": "button",
            "text": _plain("Dashboard", MAX_SLACK_FIELD),
            "url": message.link,
        }
        blocks.append({"type": "actions", "elements": [button]})
    return {"text": _escaped(_cut(title, MAX_SLACK_TEXT)), "blocks": blocks}


def teams_message(message: Message) -> dict[str, Any]:
    """Return a message as an adaptive card, for a workflow's webhook."""
    body: list[dict[str, Any]] = [
        _line(message.title, weight="Bolder", size="Medium", color=_TEAMS_COLORS[message.severity]),
        *(_line(f"{label}: {value}") for label, value in message.facts),
        _line(f"Next: {message.next_command}", fontType="Monospace"),
    ]
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
    }
    if message.link is not None:
        card["actions"] = [{"type": "Action.OpenUrl", "title": "Dashboard", "url": message.link}]
    attachment = {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": None,
        "content": card,
    }
    return {"type": "message", "attachments": [attachment]}


def _plain(text: str, most: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": _cut(text, most), "emoji": False}


def _line(text: str, **style: str) -> dict[str, Any]:
    # A text run is not read as Markdown; a text block is.
    run = {"type": "TextRun", "text": _cut(text, MAX_TEAMS_TEXT), **style}
    return {"type": "RichTextBlock", "inlines": [run]}


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
