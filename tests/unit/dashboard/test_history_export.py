"""The audit trail as CSV and JSON: safe in a spreadsheet, complete, and in its own words."""

import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from reconciler.dashboard.screens.history import (
    WrittenFilter,
    as_csv,
    as_json,
    every_entry,
    parse_position,
)
from reconciler.database.history import HistoryEntry, HistoryFilter, HistoryPage
from tests.hostile import TEXTS, acts_in_a_spreadsheet, acts_on_a_terminal

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)


def entry(reason: str | None = None, by: str | None = "ada", **changes: Any) -> HistoryEntry:
    values: dict[str, Any] = {
        "created_at": AT,
        "feature_name": "capture",
        "action": "rollback",
        "previous_percentage": Decimal("25.00"),
        "new_percentage": Decimal(0),
        "reason": reason,
        "triggered_by": by,
        "metadata": {"generation": 3, "commit": "abc"},
        **changes,
    }
    return HistoryEntry(**values)


def rows(*entries: HistoryEntry) -> list[dict[str, str]]:
    text = "".join(as_csv(iter(entries)))
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))


def test_a_row_has_every_column() -> None:
    assert rows(entry("too many errors")) == [
        {
            "time": "2026-11-23T12:00:00Z",
            "feature": "capture",
            "action": "rollback",
            "before": "25",
            "after": "0",
            "change": "25 → 0",
            "reason": "too many errors",
            "by": "ada",
            "generation": "3",
            "commit": "abc",
            "approved_by": "",
        }
    ]


@pytest.mark.parametrize(
    "formula",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "＝1", '=HYPERLINK("x")'],
)
def test_no_cell_is_a_formula(formula: str) -> None:
    (row,) = rows(entry(formula, by=formula, feature_name=formula, action=formula))

    for column in ("reason", "by", "feature", "action"):
        assert row[column] == "'" + formula.replace("\t", "\\t").replace("\r", "\\r")


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_hostile_text_does_nothing_in_a_spreadsheet(text: str) -> None:
    written = "".join(as_csv(iter([entry(text, by=text, feature_name=text, action=text)])))

    assert not acts_in_a_spreadsheet(written)
    assert not acts_on_a_terminal(written)


@pytest.mark.parametrize(
    "text", ['a "quoted" word', "two\nlines", "a,b;c", "Zoë 张伟 🚀", "it's", ""]
)
def test_other_text_comes_back_as_it_was(text: str) -> None:
    assert rows(entry(text))[0]["reason"] == text


def test_an_entry_without_anything_is_a_row_of_empty_cells() -> None:
    (row,) = rows(
        entry(
            by=None,
            feature_name=None,
            previous_percentage=None,
            new_percentage=None,
            metadata=[1],
        )
    )

    assert [row[name] for name in ("feature", "before", "after", "reason", "by", "commit")] == [
        ""
    ] * 6


def test_json_has_every_entry_with_its_metadata() -> None:
    found = json.loads("".join(as_json(iter([entry("x"), entry("</script>")]))))

    assert [each["reason"] for each in found["history"]] == ["x", "</script>"]
    assert found["history"][0]["metadata"] == {"generation": 3, "commit": "abc"}
    assert json.loads("".join(as_json(iter([])))) == {"history": []}


def test_an_export_reads_page_after_page() -> None:
    asked: list[int | None] = []

    def read(_limit: int, before: int | None) -> HistoryPage:
        asked.append(before)
        left = 3 if before is None else before
        return HistoryPage((entry(str(left)),), left - 1 if left > 1 else None)

    assert [each.reason for each in every_entry(read)] == ["3", "2", "1"]
    assert asked == [None, 2, 1]


def test_an_empty_filter_is_no_filter() -> None:
    assert WrittenFilter.of({"feature": " ", "since": ""}).read(AT) == HistoryFilter()
    assert WrittenFilter.of({"by": "a\0b"}).by == "a b"


def test_the_last_day_of_a_filter_is_included() -> None:
    found = WrittenFilter(since="2026-11-23", until="2026-11-23").read(AT)

    assert found.since == datetime(2026, 11, 23, tzinfo=UTC)
    assert found.until == datetime(2026, 11, 24, tzinfo=UTC)


def test_one_end_of_a_filter_alone_leaves_the_other_open() -> None:
    assert WrittenFilter(until="24h").read(AT) == HistoryFilter(
        until=datetime(2026, 11, 22, 12, tzinfo=UTC)
    )
    assert WrittenFilter(since="24h").read(AT).until is None


@pytest.mark.parametrize(
    "text", ["yesterday", "2026-13-01", "99999d", "9" * 400, "0001-01-01T00:00+14:00"]
)
def test_a_time_that_cannot_be_read_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ValueError, match="write 2026-11-23T12:00Z or 24h") as refused:
        WrittenFilter(since=text).read(AT)

    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["-1", "1.5", "x", "9" * 30, "１"])
def test_a_broken_link_to_a_page_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="the link to this page is broken"):
        parse_position(text)


def test_a_link_to_a_page_has_a_position() -> None:
    assert (parse_position(""), parse_position("42")) == (None, 42)
