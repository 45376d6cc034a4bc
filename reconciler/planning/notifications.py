"""Notifications: a plan's changes of the targets, and the message about an event.

A row of the outbox becomes a message here. The kind of its target decides how the message is shown.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from reconciler.planning.named_changes import NamedChanges
from reconciler.rollout_file.notifications import EventName, Severity, Target
from reconciler.wording import count, counted, feature_link, feature_option, short_commit
from rollout_client.backoff import backoff_seconds

ANSWER_SECONDS: Final = 5.0
"""The whole time of one try, from the connection to the end of the answer."""
CLAIM: Final = timedelta(seconds=30)
"""A message whose sender was killed is sent again after this time."""
FIRST_BACKOFF_SECONDS: Final = 1.0
LONGEST_BACKOFF_SECONDS: Final = 900.0
PATIENCE: Final = timedelta(hours=24)
"""A message that no try delivered within this time is dead."""
LATE: Final = timedelta(minutes=10)
"""A pending message that is older than this is late, and is shown as late."""
KEPT: Final = timedelta(days=30)
"""Delivered and dead rows are deleted after this time."""
MOST_SINGLE_MESSAGES: Final = 3
"""More rows of one event that are due together are one message."""
MOST_NAMES: Final = 10
"""A message of several features names this many."""
MOST_REASON: Final = 500
"""Characters of a reason in a message."""


TargetsPlan = NamedChanges[Target]
"""What an apply changes about the receivers of notifications."""


class _Report(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class TargetChangeReport(_Report):
    """A receiver of notifications that receives other events from now on."""

    before: Target
    after: Target


class NotificationsReport(_Report):
    """The changes of the receivers of notifications, each by its name."""

    added: dict[str, Target] = {}
    removed: dict[str, Target] = {}
    changed: dict[str, TargetChangeReport] = {}


def report_targets(targets: TargetsPlan) -> NotificationsReport:
    """Return the changes of the receivers in the form of a plan's JSON."""
    return NotificationsReport.model_validate(targets.parts)


@dataclass(frozen=True, slots=True)
class Notification:
    """One row of the outbox: an event for a target."""

    id: UUID
    target: str
    event: EventName
    severity: Severity
    feature: str | None
    dedup_key: str
    details: Mapping[str, Any]
    created_at: datetime
    attempts: int
    state: str = "pending"
    last_answer: str | None = None
    next_try_at: datetime | None = None

    def is_late(self, now: datetime) -> bool:
        """Return whether the row waits for longer than people expect."""
        return self.state == "pending" and now - self.created_at > LATE


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The further content of a message, beside its event."""

    environment: str
    """Which rollout it is, such as `production`."""
    dashboard_url: str | None = None
    eligible: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """By feature: the number of eligible repositories and of all."""


@dataclass(frozen=True, slots=True)
class Message:
    """The text for a receiver: plain, which each format escapes in its own way."""

    id: UUID
    """The same on every try."""
    event: EventName
    severity: Severity
    features: tuple[str, ...]
    """Empty for an event that concerns all features."""
    incidents: tuple[str, ...]
    """The keys of the incidents that the message opens, updates or resolves."""
    environment: str
    title: str
    facts: tuple[tuple[str, str], ...]
    """Labels and values, in the order in which they are shown."""
    next_command: str
    link: str | None
    at: datetime
    details: Sequence[Mapping[str, Any]]
    """The details of each row of the outbox."""

    @property
    def resolves(self) -> bool:
        """Whether the message resolves an incident."""
        return self.event is EventName.RESUMED

    @property
    def text(self) -> str:
        """The message as plain text, a fact a line."""
        lines = [self.title, *(f"{label}: {value}" for label, value in self.facts)]
        lines.append(f"next: {self.next_command}")
        if self.link is not None:
            lines.append(self.link)
        return "\n".join(lines)


def compose(
    message_id: UUID,
    rows: Sequence[Notification],
    surroundings: Surroundings,
    resolved: Sequence[str] = (),
) -> Message:
    """Return the message of one or several rows of the same event, the oldest first.

    Args:
        message_id: the same on every try.
        rows: what happened; at least one.
        surroundings: the further content of the message.
        resolved: the keys of the incidents that are over, for an event that resolves.
    """
    first = rows[0]
    features = tuple(each.feature for each in rows if each.feature is not None)
    title = _title(first) if len(rows) == 1 else _title_of_many(first.event, features)
    facts = [("environment", surroundings.environment)]
    facts += _facts(first, surroundings) if len(rows) == 1 else _facts_of_many(features)
    link = surroundings.dashboard_url
    if link is not None and len(rows) == 1 and first.feature is not None:
        link = feature_link(link, first.feature)
    return Message(
        id=message_id,
        event=first.event,
        severity=first.severity,
        features=features,
        incidents=tuple(resolved) if first.event is EventName.RESUMED else (first.dedup_key,),
        environment=surroundings.environment,
        title=title,
        facts=tuple(facts),
        next_command=_next_command(first.event, first.feature if len(rows) == 1 else None),
        link=link,
        at=first.created_at,
        details=tuple(each.details for each in rows),
    )


def retry_seconds(attempts: int) -> float:
    """Return the seconds until the next try, after the given number of failed ones."""
    return backoff_seconds(
        attempts, first_seconds=FIRST_BACKOFF_SECONDS, longest_seconds=LONGEST_BACKOFF_SECONDS
    )


_TITLES: Final[Mapping[EventName, str]] = {
    EventName.ROLLED_BACK: "rolled back from {before} to {after} percent",
    EventName.STOPPED: "stopped; no repository is eligible",
    EventName.RESUMED: "resumed at {after} percent",
    EventName.PROMOTED: "promoted to {after} percent",
    EventName.PROMOTION_READY: "ready for {after} percent",
    EventName.APPLIED: "generation {generation} was applied",
    EventName.DRIFT_HELD: "an apply waits: the live state was narrowed by hand",
    EventName.REFUSED: "an apply was refused",
    EventName.WRITE_BACK_STUCK: "an override is not in git",
    EventName.WARNING: "more jobs fail than expected",
    EventName.SHARED_OUTAGE: "both processors fail; a rollback would not help, so none was made",
    EventName.WATCH_ABSENT: "no watcher is active: failing features are not rolled back",
    EventName.FREEZE_OVERRIDDEN: "applied inside a freeze",
    EventName.REROUTED: "rerouted: {after} takes jobs of {before}",
    EventName.RESTORED: "a limit that the database lost is in force again",
}
_WATCHED_AGAIN: Final = "a watcher is active again"

_NEXT_COMMANDS: Final[Mapping[EventName, str]] = {
    EventName.ROLLED_BACK: "reconcile health",
    EventName.STOPPED: "reconcile health",
    EventName.WARNING: "reconcile health",
    EventName.SHARED_OUTAGE: "reconcile health",
    EventName.RESUMED: "reconcile status",
    EventName.PROMOTED: "reconcile status",
    EventName.APPLIED: "reconcile status",
    EventName.PROMOTION_READY: "reconcile promote",
    EventName.DRIFT_HELD: "reconcile drift",
    EventName.REFUSED: "reconcile --dry-run",
    EventName.FREEZE_OVERRIDDEN: "reconcile --dry-run",
    EventName.RESTORED: "reconcile history",
    EventName.WRITE_BACK_STUCK: "reconcile write-back",
    EventName.WATCH_ABSENT: "reconcile watch",
    EventName.REROUTED: "reconcile cost",
}


def _title(row: Notification) -> str:
    if row.feature is None and row.event is EventName.RESUMED:
        return _WATCHED_AGAIN
    values = {name: row.details.get(name, "?") for name in ("before", "after", "generation")}
    said = _TITLES[row.event].format_map(values)
    return said if row.feature is None else f"{row.feature}: {said}"


def _title_of_many(event: EventName, features: Sequence[str]) -> str:
    shown = ", ".join(features[:MOST_NAMES])
    more = len(features) - MOST_NAMES
    names = shown if more <= 0 else f"{shown} and {count(more)} more"
    words = event.value.replace("_", " ")
    return f"{counted(len(features), 'feature')} {words}: {names}"


def _facts(row: Notification, surroundings: Surroundings) -> Iterator[tuple[str, str]]:
    details = row.details
    eligible = surroundings.eligible.get(row.feature or "")
    if eligible is not None:
        yield "eligible", f"{count(eligible[0])} of {counted(eligible[1], 'repository')}"
    if reason := details.get("reason"):
        yield "reason", _cut(str(reason))
    if by := details.get("by"):
        yield "by", _cut(str(by))
    if features := details.get("features"):
        yield "features", ", ".join(map(str, features[:MOST_NAMES]))
    if commit := details.get("commit"):
        yield "commit", short_commit(str(commit))


def _facts_of_many(features: Sequence[str]) -> Iterator[tuple[str, str]]:
    yield "features", count(len(features))


def _next_command(event: EventName, feature: str | None) -> str:
    of = "" if feature is None else f" {feature_option(feature)}"
    return f"{_NEXT_COMMANDS[event]}{of}"


def _cut(text: str) -> str:
    return text if len(text) <= MOST_REASON else f"{text[: MOST_REASON - 1]}…"
