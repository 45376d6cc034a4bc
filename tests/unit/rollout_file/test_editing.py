"""Editing by program: refusals, edits without a change, and properties with files of any style."""

import fcntl
import json
import os
import stat
from codecs import BOM_UTF8
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import EditRefused, FileInvalid, NotFound
from reconciler.rollout_file import parse_rollout
from reconciler.rollout_file.editing import (
    edit_rollout_file,
    with_entries,
    with_override,
    with_value,
    without_entries,
    without_override,
    without_value,
)
from reconciler.rollout_file.editing.editable_text import Splice, open_source, spliced
from reconciler.rollout_file.list_entries import entry_key
from reconciler.rollout_file.model import Feature, Rollout
from reconciler.rollout_file.nodes import node_value
from reconciler.rollout_file.override import Override
from tests.unit.rollout_file.test_properties import entries, overrides, rollouts, texts

FILE = b"""\
version: 1
features:
  capture:  # owned by Ann
    percentage: 25
    whitelist:
      - acme/tools
    exclusions: [legacy/one]
"""
WHITELIST = ("features", "capture", "whitelist")


def override(**changes: Any) -> Override:
    values = {
        "id": UUID("019343a7-6f8e-7c34-9a55-0b8a1f0d2c11"),
        "percentage": Decimal(0),
        "reason": "error rate 12.50% over 5%",
        "by": "auto-rollback",
        "at": datetime(2026, 11, 23, 12, tzinfo=UTC),
    }
    return Override.model_construct(**{"emergency_stop": None, **values, **changes})


def test_an_override_is_the_last_key_of_its_feature() -> None:
    assert (
        with_override(FILE, "capture", override())
        == FILE
        + b"""\
    override: # in force; remove this block to resume
      id: 019343a7-6f8e-7c34-9a55-0b8a1f0d2c11
      percentage: 0
      reason: "error rate 12.50% over 5%"
      by: auto-rollback
      at: 2026-11-23T12:00:00Z
"""
    )


@pytest.mark.parametrize(
    "reason",
    [
        'it\'s "broken": {a: [b]} # - & * ! | > % @ `',
        "\\ \\n \\u0000 \\",
        "- not an entry",
        "key: value",
        "true",
        "null",
        "25",
        "~",
        "  blanks around  ",
        "捕获 🚀 “größer”",
        "]}, percentage: 100",
        "--- ...",
        "x" * 1_000,
        "2026-11-23T12:00:00Z",
    ],
)
@pytest.mark.parametrize(
    "file",
    [FILE, b"version: 1\nfeatures: {capture: {}}", b'{"version":1,"features":{"capture":{}}}'],
)
def test_a_hostile_reason_reads_back_complete(reason: str, file: bytes) -> None:
    edited = with_override(file, "capture", override(reason=reason))

    read = parse_rollout(edited).rollout.features["capture"].override
    assert read is not None
    assert read.reason == reason
    assert without_override(edited, "capture") == file


@pytest.mark.parametrize(
    "reason",
    [
        "two\nlines",
        "carriage\rreturn",
        "bell \a",
        "right to left \u202e",
        "nothing \0",
        "half \ud800",
        "line \u2028 separator",
        "x" * 1_001,
        "   ",
    ],
)
def test_a_reason_with_forbidden_characters_is_refused(reason: str) -> None:
    with pytest.raises(EditRefused, match="would make line 11 wrong") as refused:
        with_override(FILE, "capture", override(reason=reason))

    assert str(refused.value).isprintable()


@pytest.mark.parametrize("field", ["id", "by"])
def test_a_reason_with_line_breaks_adds_only_the_block(field: str) -> None:
    with pytest.raises(EditRefused):
        with_override(FILE, "capture", override(**{field: "x\n    percentage: 100"}))


def test_an_override_above_the_percentage_is_written() -> None:
    edited = with_override(FILE, "capture", override(percentage=Decimal(30)))

    assert b"      percentage: 30\n" in edited


def test_an_existing_entry_makes_no_diff() -> None:
    stopped = with_override(FILE, "capture", override())

    assert with_override(stopped, "capture", override()) == stopped
    assert without_override(FILE, "capture") == FILE
    assert with_value(FILE, ("features", "capture", "percentage"), Decimal("25.00")) == FILE
    assert without_value(FILE, ("features", "capture", "health", "window")) == FILE
    assert with_entries(FILE, WHITELIST, ["ACME/Tools"]) == FILE
    assert with_entries(FILE, WHITELIST, []) == FILE
    assert without_entries(FILE, WHITELIST, ["other/one"]) == FILE
    assert without_entries(FILE, ("test_repositories",), ["other/one"]) == FILE


def test_an_entry_of_the_other_list_is_refused() -> None:
    with pytest.raises(EditRefused, match="'legacy/one' is also in whitelist") as refused:
        with_entries(FILE, WHITELIST, ["legacy/one"])

    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "edit",
    [
        lambda content: with_override(content, "search", override()),
        lambda content: without_override(content, "search"),
        lambda content: with_value(content, ("features", "search", "percentage"), 5),
        lambda content: with_entries(content, ("features", "search", "whitelist"), ["a/b"]),
    ],
)
def test_a_feature_missing_in_the_file_is_not_found(edit: Any) -> None:
    with pytest.raises(NotFound, match="the file has no feature 'search'"):
        edit(FILE)


def test_an_invalid_file_is_not_edited() -> None:
    with pytest.raises(FileInvalid, match="percentage: 250 is more than 100"):
        without_override(FILE.replace(b"25", b"250"), "capture")


def test_a_block_that_shares_its_line_is_refused_with_its_place() -> None:
    file = b"version: 1\nfeatures:\n  capture:\n    ? salt\n    : a\n    percentage: 1\n"

    with pytest.raises(EditRefused, match=r"^line 4, column 7: .*; edit the file by hand$"):
        without_value(file, ("features", "capture", "salt"))


def test_an_edit_that_adds_a_line_break_to_a_text_is_refused() -> None:
    """A literal text at the end without a line break gets one if something follows it."""
    file = b"version: 1\nfeatures:\n  capture:\n    salt: |\n      a"

    with pytest.raises(EditRefused, match="line break in the text"):
        with_override(file, "capture", override())


@pytest.mark.parametrize(
    "splice",
    [
        Splice(FILE.index(b"25"), FILE.index(b"25") + 2, "24"),
        Splice(FILE.index(b"    exclusions"), len(FILE), ""),
        Splice(FILE.index(b"acme/tools"), FILE.index(b"acme/tools"), "other-"),
    ],
)
def test_an_edit_with_another_result_is_refused(splice: Splice) -> None:
    opened = open_source(FILE)

    with pytest.raises(EditRefused, match="without changing more of the file"):
        spliced(opened, [splice], opened.values)


class TestFile:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        path = tmp_path / "rollout.yaml"
        path.write_bytes(FILE)
        path.chmod(0o640)
        return path

    def test_an_edited_file_keeps_its_mode(self, file: Path) -> None:
        before, after = edit_rollout_file(
            file,
            lambda content: without_override(
                with_entries(content, WHITELIST, ["acme/site"]), "capture"
            ),
        )

        assert (before, after) == (FILE, file.read_bytes())
        assert b"- acme/site" in after
        assert stat.S_IMODE(file.stat().st_mode) == 0o640
        assert list(file.parent.iterdir()) == [file]

    def test_no_change_is_not_written(self, file: Path) -> None:
        written = file.stat()

        edit_rollout_file(file, lambda content: content)

        assert (file.stat().st_ino, file.stat().st_mtime_ns) == (
            written.st_ino,
            written.st_mtime_ns,
        )

    def test_a_refused_edit_keeps_the_file_and_names_it(self, file: Path) -> None:
        with pytest.raises(EditRefused, match=rf"^{file}: the edit would make line"):
            edit_rollout_file(file, lambda content: with_entries(content, WHITELIST, ["no name"]))

        assert file.read_bytes() == FILE

    def test_errors_of_an_edited_file_have_its_name(self, file: Path) -> None:
        file.write_bytes(b"version: 2\n")

        with pytest.raises(FileInvalid, match=rf"^{file}:1:1: version: 2 is not a version"):
            edit_rollout_file(file, lambda content: with_value(content, ("version",), 1))

    def test_a_concurrent_edit_waits_for_this_one(self, file: Path) -> None:
        def take_turn() -> None:
            descriptor = os.open(file.parent, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            finally:
                os.close(descriptor)

        def edit(content: bytes) -> bytes:
            with pytest.raises(BlockingIOError):
                take_turn()
            return with_entries(content, WHITELIST, ["acme/site"])

        edit_rollout_file(file, edit)

        take_turn()

    def test_a_concurrent_change_of_the_file_is_not_lost(self, file: Path) -> None:
        def edit(content: bytes) -> bytes:
            file.write_bytes(FILE + b"# by Ben\n")
            return with_entries(content, WHITELIST, ["acme/site"])

        with pytest.raises(EditRefused, match="the file changed during the edit"):
            edit_rollout_file(file, edit)

        assert file.read_bytes() == FILE + b"# by Ben\n"

    def test_a_symlink_is_refused(self, file: Path) -> None:
        link = file.parent / "link.yaml"
        link.symlink_to(file)

        with pytest.raises(FileInvalid, match="this is a symlink"):
            edit_rollout_file(link, lambda content: with_entries(content, WHITELIST, ["a/b"]))

        assert file.read_bytes() == FILE


COMMENTS = ["", "", "  # why", " #", "  # é 🚀", "  # a: [b]", "\t# tab"]
COMMENT_LINES = ["", "# a comment", "#", "# - acme/old", "# override: {percentage: 1}"]


@dataclass
class Writer:
    """Writes a desired state with a random style for each line."""

    draw: st.DrawFn
    step: int
    lines: list[str] = field(default_factory=list)

    def one_of(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def fill(self, indent: int) -> None:
        """Write comments and empty lines, or no text."""
        for _ in range(self.one_of(0, 0, 0, 1, 2)):
            comment = self.one_of(*COMMENT_LINES)
            depth = self.draw(st.integers(0, indent + self.step))
            self.lines.append(" " * depth + comment if comment else "")

    def put(self, values: dict[str, Any], indent: int) -> None:
        for name, value in values.items():
            self.fill(indent)
            key = self.one_of(name, name, name, f'"{name}"', f"'{name}'", f"{name} ")
            head = f"{' ' * indent}{key}:"
            in_lines = value and self.one_of(False, True, True, True)
            if in_lines and isinstance(value, dict):
                self.lines.append(head + self.one_of(*COMMENTS))
                self.put(value, indent + self.step)
            elif in_lines and isinstance(value, tuple):
                self.lines.append(head + self.one_of(*COMMENTS))
                self.put_entries(value, indent)
            else:
                self.lines.append(f"{head} {self.flow(value)}{self.one_of(*COMMENTS)}")

    def put_entries(self, entries: Sequence[Any], indent: int) -> None:
        lead = " " * (indent + self.one_of(0, self.step)) + self.one_of("- ", "-   ")
        for each in entries:
            self.fill(indent)
            self.lines.append(f"{lead}{self.flow(each)}{self.one_of(*COMMENTS)}")

    def flow(self, value: Any) -> str:
        match value:
            case dict():
                pairs = (f"{name}: {self.flow(each)}" for name, each in value.items())
                return "{" + ", ".join(pairs) + "}"
            case tuple():
                return f"[{self.one_of(', ', ',').join(map(self.flow, value))}]"
            case Decimal():
                return f"{value:f}"
            case _:
                return json.dumps(value, ensure_ascii=False)


@st.composite
def written(draw: st.DrawFn, rollout: Rollout) -> bytes:
    """A desired state as a file of a random style."""
    writer = Writer(draw, step=draw(st.integers(1, 5)))
    stored = rollout.model_dump_json(exclude_none=True, exclude_defaults=True)
    values = node_value(parse_rollout(stored).root)
    writer.lines += writer.one_of([], ["---"])
    writer.put({"version": values.pop("version"), **values}, 0)
    writer.fill(0)
    line_break = writer.one_of("\n", "\r\n", "\r")
    text: str = line_break.join(writer.lines) + writer.one_of("", line_break)
    mark: bytes = writer.one_of(b"", BOM_UTF8)
    return mark + text.encode()


@st.composite
def edited(draw: st.DrawFn) -> tuple[Rollout, bytes]:
    rollout = draw(rollouts.filter(lambda each: bool(each.features)))
    return rollout, draw(written(rollout))


def free_entries(feature: Feature, drawn: Sequence[str]) -> list[str]:
    taken = {entry_key(each) for each in (*feature.whitelist, *feature.exclusions)}
    return [each for each in drawn if entry_key(each) not in taken]


@given(edited(), st.data())
def test_an_edit_of_any_style_is_exactly_the_change(
    case: tuple[Rollout, bytes], data: st.DataObject
) -> None:
    rollout, content = case
    assert parse_rollout(content).rollout == rollout
    name = data.draw(st.sampled_from(sorted(rollout.features)))
    feature = rollout.features[name]
    path = ("features", name)

    def check(after: bytes, **changes: Any) -> None:
        features = rollout.features | {name: feature.model_copy(update=changes)}
        assert parse_rollout(after).rollout == rollout.model_copy(update={"features": features})
        assert after.startswith(BOM_UTF8) == content.startswith(BOM_UTF8)

    limit = data.draw(overrides(int(feature.percentage * 100)))
    stopped = with_override(content, name, limit)
    check(stopped, override=limit)
    if feature.override is None:
        assert without_override(stopped, name) == content
    check(without_override(content, name), override=None)

    text = data.draw(texts)
    check(with_value(content, (*path, "description"), text), description=text)
    check(
        with_value(content, (*path, "active"), value=not feature.active), active=not feature.active
    )

    new = free_entries(feature, data.draw(st.lists(entries, max_size=4, unique_by=entry_key)))
    check(with_entries(content, (*path, "whitelist"), new), whitelist=(*feature.whitelist, *new))
    old = data.draw(
        st.sets(st.sampled_from(feature.whitelist)) if feature.whitelist else st.just(set())
    )
    kept = tuple(each for each in feature.whitelist if each not in old)
    check(without_entries(content, (*path, "whitelist"), sorted(old)), whitelist=kept)


def test_a_long_list_is_edited(at_size: Any) -> None:
    count = at_size(20_000, 100_000)
    lines = "".join(f"      - acme/repository-{number}\n" for number in range(count))
    content = FILE.replace(b"      - acme/tools\n", lines.encode())

    longer = with_entries(content, WHITELIST, ["acme/one-more", "ACME/repository-5"])
    gone = [f"acme/repository-{number}" for number in range(0, count, 2)]
    shorter = without_entries(longer, WHITELIST, gone)

    assert longer == content.replace(b"    exclusions", b"      - acme/one-more\n    exclusions")
    assert len(parse_rollout(shorter).rollout.features["capture"].whitelist) == count // 2 + 1
