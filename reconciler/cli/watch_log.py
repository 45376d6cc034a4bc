"""The log of `reconcile watch`, a listener: one line for each event, as text or as JSON.

Text from a file, the database or a remote is escaped, so that it cannot start a line.
"""

import json
import os
import select
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from threading import Lock
from typing import Any, Final

import click

from reconciler.cli.render.text import for_json, for_line, for_terminal
from reconciler.cli.render.wording import describe_written_back
from reconciler.operations.events import (
    BecameActive,
    CommitApplied,
    CommitNotApplied,
    Event,
    EvidenceRose,
    Failed,
    FreezeOverridden,
    LimitRestored,
    OverrideRestored,
    PromotionReady,
    Recovered,
    RolledBack,
    SharedOutage,
    StandsBy,
    WroteBack,
)
from reconciler.operations.write_back_pass import Outcome
from reconciler.rollout_file.override import Override
from reconciler.wording import counted, describe_limit, short_commit, show_number

TRACEBACK: Final = "traceback"
DROPPED: Final = "dropped"

_ROOM_SECONDS: Final = 0.1
"""How long to wait for a reader of the log."""


class LogFormat(StrEnum):
    """The format of a line."""

    TEXT = "text"
    JSON = "json"


class Level(StrEnum):
    """The level of a line."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Line:
    """One line: the name of the event, a sentence, and its fields."""

    level: Level
    event: str
    message: str
    fields: Mapping[str, Any]


class Log:
    """Writes whole lines to stderr, from any thread."""

    def __init__(
        self, log_format: LogFormat, *, quiet: bool = False, verbose: bool = False
    ) -> None:
        self._format = log_format
        self._quiet = quiet
        self._verbose = verbose
        self._lock = Lock()
        self._dropped = 0
        """The number of dropped lines since the last written one."""

    def write_event(self, event: Event) -> None:
        """Write the line of an event."""
        line = describe(event)
        if self._verbose and isinstance(event, Failed):
            shown = "".join(traceback.format_exception(event.cause)).rstrip()
            line = replace(line, fields={**line.fields, TRACEBACK: shown})
        self._write(line)

    def write_info(self, event: str, message: str, **fields: Any) -> None:
        """Write a line about the process itself."""
        self._write(Line(Level.INFO, event, message, fields))

    def write_invalid_request(self, why: str, unreported: int) -> None:
        """Write a line about a request that cannot be read, and how many others had no line."""
        others = f"; {counted(unreported, 'other')} before it" if unreported else ""
        fields = {"why": why, "others": unreported}
        self._write(Line(Level.WARNING, "invalid_request", f"{why}{others}", fields))

    def _write(self, line: Line) -> None:
        if self._quiet and line.level is Level.INFO:
            return
        with self._lock:
            dropped = {DROPPED: self._dropped} if self._dropped else {}
            text = self._shown(replace(line, fields={**line.fields, **dropped}))
            # A reader that stopped, a closed stream or a full disk must not stop a rollback.
            self._dropped = 0 if write_to_stderr(text) else self._dropped + 1

    def _shown(self, line: Line) -> str:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        match self._format:
            case LogFormat.TEXT:
                text = for_line(f"{now} {line.level:<7} {line.event}: {line.message}")
                if DROPPED in line.fields:
                    text += f" ({counted(line.fields[DROPPED], 'line')} before this one dropped)"
                if TRACEBACK in line.fields:
                    text += f"\n{for_terminal(line.fields[TRACEBACK])}"
                return text
            case LogFormat.JSON:
                return for_json(
                    json.dumps(
                        {
                            "time": now,
                            "level": line.level,
                            "event": line.event,
                            "message": line.message,
                            **line.fields,
                        }
                    )
                )


def write_to_stderr(text: str) -> bool:
    """Write a line to stderr if it has room; return whether all of it was written.

    A pipe whose reader has stopped has no room; the line is dropped then.
    """
    try:
        descriptor = sys.stderr.fileno()
    except (OSError, ValueError):
        click.echo(text, err=True)
        return True
    content = f"{text}\n".encode(sys.stderr.encoding or "utf-8", "backslashreplace")
    room = select.poll()
    room.register(descriptor, select.POLLOUT)
    try:
        while content:
            if not room.poll(_ROOM_SECONDS * 1000):
                return False
            # A pipe with room takes this much without waiting.
            written = os.write(descriptor, content[: select.PIPE_BUF])
            content = content[written:]
    except OSError:
        return False
    return True


def describe(event: Event) -> Line:
    """Return the line of an event."""
    match event:
        case BecameActive() | StandsBy() | Failed() | Recovered():
            line = _of_the_watcher(event)
        case RolledBack() | LimitRestored() | OverrideRestored() | EvidenceRose() | SharedOutage():
            line = _safeguard(event)
        case WroteBack():
            line = _wrote_back(event)
        case CommitApplied():
            line = _applied(event)
        case CommitNotApplied(commit, why):
            message = f"{short_commit(commit)}: {why}"
            line = Line(Level.WARNING, "not_applied", message, {"commit": commit, "why": why})
        case FreezeOverridden(feature, freeze, reason, by):
            message = f"{feature}: {by} went through a freeze ({reason}): {freeze}"
            overridden = {"feature": feature, "by": by, "reason": reason}
            line = Line(Level.WARNING, "freeze_overridden", message, overridden)
        case PromotionReady(feature, percentage):
            message = f"{feature}: ready for {show_number(percentage)}"
            ready = {"feature": feature, "percentage": float(percentage)}
            line = Line(Level.INFO, "promotion_ready", message, ready)
    return line


def _of_the_watcher(event: BecameActive | StandsBy | Failed | Recovered) -> Line:
    match event:
        case BecameActive():
            return Line(Level.INFO, "active", "this is the active watcher", {})
        case StandsBy(holder):
            return Line(Level.INFO, "standby", f"{holder} is active", {"holder": holder})
        case Failed(subject, why, _):
            message = f"{subject}: {why}"
            return Line(Level.ERROR, "failed", message, {"subject": subject, "why": why})
        case Recovered(subject):
            return Line(Level.INFO, "recovered", f"{subject}: recovered", {"subject": subject})


def _safeguard(
    event: RolledBack | LimitRestored | OverrideRestored | EvidenceRose | SharedOutage,
) -> Line:
    match event:
        case RolledBack():
            return _rolled_back(event)
        case LimitRestored():
            return _restored(event)
        case OverrideRestored(feature, override, witness):
            limit = describe_limit(override.percentage)
            message = (
                f"{feature}: {limit} by {override.by} is in force again; a failover or a restore of the "
                f"database lost it, and {witness} had it"
            )
            lost = {"feature": feature, "override": str(override.id), "witness": witness}
            return Line(Level.WARNING, "restored", message, lost)
        case EvidenceRose(feature, evidence, fails_at, sentence):
            fields = {"feature": feature, "evidence": evidence, "fails_at": fails_at}
            return Line(Level.WARNING, "evidence_rose", f"{feature}: {sentence}", fields)
        case SharedOutage(feature, sentence):
            message = f"{feature}: {sentence}"
            return Line(Level.ERROR, "shared_outage", message, {"feature": feature})


def _restored(event: LimitRestored) -> Line:
    override = event.override
    limit = None if override is None else override.percentage
    message = (
        f"{event.feature}: {describe_limit(limit)} is in force; live exceeded it and was reset"
    )
    fields = {
        "feature": event.feature,
        "override": None if override is None else str(override.id),
    }
    return Line(Level.WARNING, "limit_restored", message, fields)


def _applied(event: CommitApplied) -> Line:
    plan = event.plan
    changes = counted(plan.change_count, "change") if plan.has_changes else "0 changes"
    fields = {
        "commit": event.commit,
        "changes": plan.change_count,
        "generation": event.generation,
    }
    message = f"{short_commit(event.commit)}: {changes}, generation {event.generation}"
    return Line(Level.INFO, "applied", message, fields)


def _rolled_back(event: RolledBack) -> Line:
    override = event.override
    percentage = None if override is None else override.percentage
    fields = {
        "feature": event.feature,
        "override": None if override is None else str(override.id),
        "percentage": None if percentage is None else float(percentage),
        "error_rate": event.error_rate,
        "jobs": event.jobs,
        "errors": event.errors,
        "evidence": event.evidence,
    }
    return Line(Level.WARNING, "rolled_back", f"{event.feature}: {_limit(override)}", fields)


def _limit(override: Override | None) -> str:
    if override is None:
        return "already limited"
    if override.percentage is None:
        return f"stopped: {override.reason}"
    return f"rolled back to {show_number(override.percentage)}: {override.reason}"


def _wrote_back(event: WroteBack) -> Line:
    written = event.written
    fields = {
        "feature": written.feature,
        "override": str(written.override),
        "outcome": written.outcome,
        "remote": event.remote,
        "branch": event.branch,
        "commit": written.commit,
    }
    where = f"{event.remote}/{event.branch}"
    is_open = written.outcome in {Outcome.PENDING, Outcome.PROPOSED}
    return Line(
        Level.WARNING if is_open else Level.INFO,
        "write_back",
        f"{written.feature}: {describe_written_back(where, written)}",
        fields,
    )
