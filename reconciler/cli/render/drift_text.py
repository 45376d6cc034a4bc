"""Drift for people and for JSON: each change made by hand, the person and the reason, and its fate."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from reconciler.cli.render.text import for_line, paragraph
from reconciler.planning.drift import describe_drift
from reconciler.wording import show_number, show_time

if TYPE_CHECKING:
    from reconciler.database.history import HistoryEntry
    from reconciler.planning.drift import Drift


def drift_lines(drift: "Sequence[Drift]", cause: "HistoryEntry | None") -> Iterator[str]:
    """Yield the lines of one feature's drift; `cause` is the history entry that was written by hand."""
    for each in drift:
        yield from paragraph("drift", for_line(describe_drift(each)), "yellow")
    if drift:
        yield from paragraph("", for_line(_cause(drift, cause)))


def drift_as_json(drift: "Sequence[Drift]", cause: "HistoryEntry | None") -> dict[str, Any]:
    """Return one feature's drift, and the entry that was written by hand, for JSON."""
    from reconciler.planning.report import report_drift

    author = (
        None
        if cause is None or not drift
        else {"by": cause.triggered_by, "at": cause.created_at, "reason": cause.reason}
    )
    return {
        "drift": [report_drift(each).model_dump(mode="json") for each in drift],
        "drift_cause": author,
    }


def _cause(drift: "Sequence[Drift]", cause: "HistoryEntry | None") -> str:
    if cause is None:
        return "the history has no entry for this change"
    by = cause.triggered_by or "an unknown person"
    reason = f": {cause.reason}" if cause.reason else ""
    entry = f"by {by} at {show_time(cause.created_at)}{reason}"
    if any(each.field.name == "percentage" and _is_of_another(cause, each) for each in drift):
        told = show_number(cause.new_percentage or 0)
        return f"the history has no entry for this change; the newest one by hand is to {told}, {entry}"
    return entry


def _is_of_another(cause: "HistoryEntry", drift: "Drift") -> bool:
    return cause.new_percentage is not None and cause.new_percentage != drift.live
