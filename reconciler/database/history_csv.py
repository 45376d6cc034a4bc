"""The audit trail as CSV, for auditors and spreadsheets."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from reconciler.database.history import HistoryEntry
from reconciler.escape import text_cell
from reconciler.wording import show_number, show_time

COLUMNS: Final = (
    "time",
    "feature",
    "action",
    "before",
    "after",
    "change",
    "reason",
    "by",
    "generation",
    "commit",
    "approved_by",
)


def csv_lines(entries: Iterable[HistoryEntry]) -> Iterator[str]:
    """Yield the head and a line for each entry, with line ends; no cell of it is a formula."""
    yield _line(COLUMNS)
    for entry in entries:
        yield _line([text_cell(value) for value in _values(entry)])


def _values(entry: HistoryEntry) -> tuple[str, ...]:
    details = entry.details
    before, after = entry.previous_percentage, entry.new_percentage
    return (
        show_time(entry.created_at),
        entry.feature_name or "",
        entry.action,
        "" if before is None else show_number(before),
        "" if after is None else show_number(after),
        entry.change,
        entry.reason or "",
        entry.triggered_by or "",
        str(details.get("generation", "")),
        str(details.get("commit") or ""),
        entry.approval,
    )


def _line(cells: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    return line.getvalue()
