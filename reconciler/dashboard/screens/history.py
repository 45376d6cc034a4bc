"""The screen *History*: the audit trail by filter, as a page, as CSV and as JSON."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from reconciler.database.history import HistoryEntry, HistoryFilter, HistoryPage, read_history_page
from reconciler.database.history_csv import csv_lines
from reconciler.database.names import read_feature_names
from reconciler.planning.history import Action
from reconciler.planning.times import parse_end, parse_time
from reconciler.wording import show_time

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection

PAGE_ROWS: Final = 100
_EXPORTED_AT_ONCE: Final = 1_000
_LARGEST_POSITION: Final = 2**63 - 1
_BYTE_ORDER_MARK: Final = "\ufeff"
"""Without it a spreadsheet reads UTF-8 as its own encoding."""


@dataclass(frozen=True, slots=True)
class WrittenFilter:
    """The filter as a person wrote it; empty texts are no filter."""

    feature: str = ""
    action: str = ""
    by: str = ""
    since: str = ""
    until: str = ""

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> "WrittenFilter":
        """Return the filter of a request's parameters; a NUL, which the database cannot hold, is a space."""
        written = {
            name: parameters.get(name, "").replace("\0", " ").strip()
            for name in cls.__dataclass_fields__
        }
        return cls(**written)

    def read(self, now: datetime) -> HistoryFilter:
        """Return the filter.

        Raises:
            ValueError: a time cannot be read; the message has a correct example.
        """
        return HistoryFilter(
            feature=self.feature or None,
            action=self.action or None,
            by=self.by or None,
            since=parse_time(self.since, now) if self.since else None,
            until=parse_end(self.until, now) if self.until else None,
        )

    @property
    def parameters(self) -> Mapping[str, str]:
        """The parameters of a link with this filter."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: value for name, value in found.items() if value}


@dataclass(frozen=True, slots=True)
class HistoryScreen:
    """A page of the audit trail."""

    written: WrittenFilter
    page: HistoryPage
    features: Sequence[str]
    actions: Sequence[str] = tuple(Action)
    problem: str | None = None
    """Why the filter cannot be read."""


def read_history_screen(
    connection: "AnyConnection", written: WrittenFilter, before: str = ""
) -> HistoryScreen:
    """Return a page of the rows that pass a filter.

    Args:
        connection: a read-only transaction.
        written: the filter.
        before: the position from which the page continues; empty for the first page.
    """
    features = read_feature_names(connection)
    try:
        wanted = written.read(datetime.now(UTC))
        position = parse_position(before)
    except ValueError as error:
        return HistoryScreen(written, HistoryPage((), None), features, problem=str(error))
    page = read_history_page(connection, wanted, limit=PAGE_ROWS, before=position)
    return HistoryScreen(written, page, features)


def parse_position(text: str) -> int | None:
    """Return the position in a link to the next page; None in a link to the first one.

    Raises:
        ValueError: it is not one.
    """
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or int(text[:20]) > _LARGEST_POSITION:
        raise ValueError("the link to this page is broken; begin at the newest entry")
    return int(text)


ReadPage = Callable[[int, int | None], HistoryPage]
"""Reads a page: the number of rows, and the position from which it continues."""


def every_entry(read_page: ReadPage) -> Iterator[HistoryEntry]:
    """Yield all entries, page by page, so that no transaction stays open for long."""
    before: int | None = None
    while True:
        page = read_page(_EXPORTED_AT_ONCE, before)
        yield from page.entries
        if page.older_than is None:
            return
        before = page.older_than


def as_csv(entries: Iterator[HistoryEntry]) -> Iterator[str]:
    """Yield the lines of a CSV file for a spreadsheet; no cell of it is a formula."""
    yield _BYTE_ORDER_MARK
    yield from csv_lines(entries)


def as_json(entries: Iterator[HistoryEntry]) -> Iterator[str]:
    """Yield the parts of a JSON object with the entries as `reconcile history --format json` prints them."""
    yield '{"history": ['
    for number, entry in enumerate(entries):
        separator = ",\n" if number else "\n"
        yield separator + json.dumps(_as_object(entry), ensure_ascii=False)
    yield "\n]}\n"


def _as_object(entry: HistoryEntry) -> dict[str, Any]:
    return {
        "created_at": show_time(entry.created_at),
        "feature_name": entry.feature_name,
        "action": entry.action,
        "previous_percentage": _number(entry.previous_percentage),
        "new_percentage": _number(entry.new_percentage),
        "reason": entry.reason,
        "triggered_by": entry.triggered_by,
        "metadata": entry.metadata,
    }


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
