"""The log of `reconcile watch`: a line for each thing that happened, for people or as JSON.

What comes from a file, the database or a remote is escaped: nothing of it starts a line of its own.
"""

import json
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from threading import Lock
from typing import Any, Final

import click

from reconciler.cli.render.escape import for_line, for_terminal
from reconciler.operations.events import (
    Applied,
    BecameActive,
    Event,
    Failed,
    NotApplied,
    Recovered,
    RolledBack,
    StandsBy,
    WroteBack,
)
from reconciler.operations.safeguard import Acted
from reconciler.operations.write_back_pass import Outcome, WrittenBack
from reconciler.wording import counted, short_commit, show_number

TRACEBACK: Final = "traceback"


class LogFormat(StrEnum):
    """How a line is written."""

    TEXT = "text"
    JSON = "json"


class Level(StrEnum):
    """How much a line matters."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Line:
    """One line: what happened, in a word and a sentence, and its figures."""

    level: Level
    event: str
    message: str
    figures: Mapping[str, Any]


class Log:
    """Writes lines to stderr, whole ones, from any thread."""

    def __init__(
        self, log_format: LogFormat, *, quiet: bool = False, verbose: bool = False
    ) -> None:
        self._format = log_format
        self._quiet = quiet
        self._verbose = verbose
        self._lock = Lock()

    def tell(self, event: Event) -> None:
        """Write what happened."""
        line = describe(event)
        if self._verbose and isinstance(event, Failed):
            shown = "".join(traceback.format_exception(event.cause)).rstrip()
            line = replace(line, figures={**line.figures, TRACEBACK: shown})
        self.write(line)

    def say(self, event: str, message: str, **figures: Any) -> None:
        """Write something about the watch itself."""
        self.write(Line(Level.INFO, event, message, figures))

    def write(self, line: Line) -> None:
        """Write a line, unless only what is wrong is asked for."""
        if self._quiet and line.level is Level.INFO:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        match self._format:
            case LogFormat.TEXT:
                text = for_line(f"{now} {line.level:<7} {line.event}: {line.message}")
                if TRACEBACK in line.figures:
                    text += f"\n{for_terminal(line.figures[TRACEBACK])}"
            case LogFormat.JSON:
                text = json.dumps(
                    {
                        "time": now,
                        "level": line.level,
                        "event": line.event,
                        "message": line.message,
                        **line.figures,
                    }
                )
        # That nobody reads the log, or its disk is full, keeps nobody from being rolled back.
        with self._lock, suppress(OSError):
            click.echo(text, err=True)


def describe(event: Event) -> Line:
    """Return how an event reads."""
    match event:
        case BecameActive():
            line = Line(Level.INFO, "active", "this is the active watcher", {})
        case StandsBy(holder):
            line = Line(Level.INFO, "standby", f"{holder} is active", {"holder": holder})
        case RolledBack():
            line = _rolled_back(event)
        case WroteBack():
            line = _wrote_back(event)
        case Applied():
            line = _applied(event)
        case NotApplied(commit, why):
            message = f"{short_commit(commit)}: {why}"
            line = Line(Level.WARNING, "not_applied", message, {"commit": commit, "why": why})
        case Failed(subject, why, _):
            message = f"{subject}: {why}"
            line = Line(Level.ERROR, "failed", message, {"subject": subject, "why": why})
        case Recovered(subject):
            line = Line(Level.INFO, "recovered", f"{subject}: well again", {"subject": subject})
    return line


def _applied(event: Applied) -> Line:
    plan = event.plan
    changes = counted(plan.change_count, "change") if plan.has_changes else "nothing to change"
    figures = {
        "commit": event.commit,
        "changes": plan.change_count,
        "generation": event.generation,
    }
    message = f"{short_commit(event.commit)}: {changes}, generation {event.generation}"
    return Line(Level.INFO, "applied", message, figures)


def _rolled_back(event: RolledBack) -> Line:
    acted = event.acted
    override = acted.override
    figures = {
        "feature": acted.feature,
        "override": None if override is None else str(override.id),
        "percentage": None
        if override is None or override.percentage is None
        else float(override.percentage),
        "error_rate": event.error_rate,
        "jobs": event.jobs,
        "errors": event.errors,
    }
    return Line(Level.WARNING, "rolled_back", _limited(acted), figures)


def _limited(acted: Acted) -> str:
    match acted.override:
        case None:
            return f"{acted.feature}: limited as far already"
        case override if override.percentage is None:
            return f"{acted.feature}: stopped: {override.reason}"
        case override:
            to = show_number(override.percentage)
            return f"{acted.feature}: rolled back to {to}: {override.reason}"


def _wrote_back(event: WroteBack) -> Line:
    carried = event.carried
    figures = {
        "feature": carried.feature,
        "override": str(carried.override),
        "outcome": carried.outcome,
        "remote": event.remote,
        "branch": event.branch,
        "commit": carried.commit,
    }
    is_open = carried.outcome in {Outcome.PENDING, Outcome.PROPOSED}
    return Line(
        Level.WARNING if is_open else Level.INFO,
        "write_back",
        f"{carried.feature}: {_outcome(event, carried)}",
        figures,
    )


def _outcome(event: WroteBack, carried: WrittenBack) -> str:
    where = f"{event.remote}/{event.branch}"
    match carried.outcome:
        case Outcome.WRITTEN:
            return f"override written to {where} by {short_commit(carried.commit or '')}"
        case Outcome.REMOVED:
            return f"override removed from {where} by {short_commit(carried.commit or '')}"
        case Outcome.SETTLED:
            return f"{where} says so already"
        case Outcome.PROPOSED:
            return f"{where} takes no pushes; merge {carried.branch}"
        case Outcome.PENDING:
            return "not in git yet" + (f": {carried.why}" if carried.why else "")
