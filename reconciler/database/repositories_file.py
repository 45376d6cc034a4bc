"""A file of repositories: CSV, TSV or JSON Lines, checked row by row.

The columns are `full_name` and optionally `id`, `github_id`, `stars`, `contributors` and
`pull_requests`. An absent or empty value leaves the database unchanged. Every wrong row is reported
with its line.
"""

import csv
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from reconciler.database.repositories import LoadedRow
from reconciler.errors import FileInvalid, Finding, SetupInvalid

COLUMNS: Final = ("full_name", "id", "github_id", "stars", "contributors", "pull_requests")
_FULL_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}/[A-Za-z0-9._-]{1,100}")
"""Accepts more than a rollout file: old accounts have names that GitHub no longer allows."""
MAX_INTEGER: Final = 2**31 - 1
MAX_GITHUB_ID: Final = 2**63 - 1


def read_repositories(path: Path) -> list[LoadedRow]:
    """Return the rows of a file; the format follows from the ending of its name.

    Raises:
        SetupInvalid: the file cannot be read, or its format is not one of the three.
        FileInvalid: rows are wrong.
    """
    try:
        content = path.read_text("utf-8-sig")
    except OSError as error:
        raise SetupInvalid(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SetupInvalid(f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8") from error
    findings: list[Finding] = []
    rows: list[LoadedRow] = []
    for line, values in _records(path, content, findings):
        try:
            rows.append(_row(line, values))
        except ValueError as error:
            findings.append(Finding(line, 1, str(error)))
    findings += _repeated(rows)
    if findings:
        raise FileInvalid(str(path), tuple(findings))
    return rows


def _repeated(rows: list[LoadedRow]) -> Iterator[Finding]:
    first_lines: dict[str, int] = {}
    for row in rows:
        first_line = first_lines.setdefault(row.full_name.lower(), row.line)
        if first_line != row.line:
            yield Finding(
                row.line,
                1,
                f"this row has the same name as line {first_line}; remove one of the two",
            )


def _records(
    path: Path, content: str, findings: list[Finding]
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    match path.suffix.lower():
        case ".csv":
            yield from _delimited(content, ",", findings)
        case ".tsv":
            yield from _delimited(content, "\t", findings)
        case ".jsonl" | ".ndjson":
            yield from _json_lines(content, findings)
        case _:
            raise SetupInvalid(
                f"{path}: the format is not known; name the file .csv, .tsv or .jsonl"
            )


def _delimited(
    content: str, delimiter: str, findings: list[Finding]
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    reader = csv.reader(content.splitlines(keepends=True), delimiter=delimiter, strict=True)
    try:
        head = next(reader, [])
        if wrong := _wrong_head(head):
            findings.append(Finding(1, 1, wrong))
            return
        for values in reader:
            if not values:
                continue
            if len(values) != len(head):
                findings.append(
                    Finding(reader.line_num, 1, f"{len(values)} values under {len(head)} columns")
                )
                continue
            yield reader.line_num, dict(zip(head, values, strict=True))
    except csv.Error as error:
        findings.append(Finding(reader.line_num, 1, f"it cannot be read: {error}"))


def _json_lines(content: str, findings: list[Finding]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(content.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except (ValueError, RecursionError):
            findings.append(Finding(number, 1, "this is not JSON; write one object a line"))
            continue
        if not isinstance(values, dict):
            findings.append(
                Finding(number, 1, "this is not a JSON object; write one object a line")
            )
        elif unknown := [key for key in values if key not in COLUMNS]:
            findings.append(Finding(number, 1, _unknown(unknown)))
        else:
            yield number, values


def _wrong_head(head: list[str]) -> str | None:
    if unknown := [column for column in head if column not in COLUMNS]:
        return _unknown(unknown)
    if "full_name" not in head:
        return "the column full_name is missing; the first line names the columns"
    if len(set(head)) < len(head):
        return "a column is there twice; remove one"
    return None


def _unknown(columns: list[str]) -> str:
    return f"unknown column {columns[0]!r}; the columns are: {', '.join(COLUMNS)}"


def _row(line: int, values: Mapping[str, Any]) -> LoadedRow:
    full_name = values.get("full_name")
    if not isinstance(full_name, str) or not _FULL_NAME.fullmatch(full_name):
        raise ValueError(f"full_name: {full_name!r} is not owner/name")
    return LoadedRow(
        line=line,
        id=_identifier(values.get("id")),
        github_id=_whole_number("github_id", values.get("github_id"), MAX_GITHUB_ID),
        full_name=full_name,
        stars=_whole_number("stars", values.get("stars"), MAX_INTEGER),
        contributors=_whole_number("contributors", values.get("contributors"), MAX_INTEGER),
        pull_requests=_whole_number("pull_requests", values.get("pull_requests"), MAX_INTEGER),
    )


def _identifier(value: Any) -> str | None:
    if value is None or value == "":
        return None
    try:
        return str(UUID(value))
    except (ValueError, AttributeError, TypeError):
        raise ValueError(f"id: {value!r} is not a UUID") from None


def _whole_number(column: str, value: Any, limit: int) -> int | None:
    if value is None or value == "":
        return None
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(limit))):
        raise ValueError(f"{column}: {value!r} is not a whole number from 0")
    if int(text) > limit:
        raise ValueError(f"{column}: {value} is more than {limit}")
    return int(text)
