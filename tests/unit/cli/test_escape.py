"""Text from a file, a database or git is harmless in any output."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.cli.render.text import for_cell, for_json, for_line, for_markdown, for_terminal


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain → ünïcode 日本", "plain → ünïcode 日本"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("\u202etxt.exe", "\\u202etxt.exe"),
        ("a\u200bb\ufeff", "a\\u200bb\\ufeff"),
        ("c1 \x9b31m", "c1 \\x9b31m"),
        ("line\nbreak\r\t", "line\\nbreak\\r\\t"),
        ("\u2028para\u2029", "\\u2028para\\u2029"),
    ],
)
def test_control_and_direction_characters_are_escaped(text: str, shown: str) -> None:
    assert for_line(text) == shown


def test_a_terminals_text_keeps_its_line_breaks() -> None:
    assert for_terminal("one\ntwo\x1b[2J") == "one\ntwo\\x1b[2J"


@given(st.text())
def test_nothing_unprintable_reaches_a_line(text: str) -> None:
    assert "\n" not in for_line(text)
    assert all(each.isprintable() or each == " " for each in for_line(text))


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("acme/tools", "`acme/tools`"),
        ("@someone #12 <b>", "`@someone #12 <b>`"),
        ("a`b", "``a`b``"),
        ("`", "`` ` ``"),
        ("a|b", "`a|b`"),
        ("two\nlines", "`two\\nlines`"),
        ("", "` `"),
    ],
)
def test_markdown_cannot_leave_its_code_span(text: str, span: str) -> None:
    assert for_markdown(text) == span


def test_a_bar_does_not_end_a_table_cell() -> None:
    assert for_cell(for_markdown("a|`b\\|")) == "``a\\|`b\\\\|``"


@given(st.text(alphabet="`ab| \n"))
def test_no_run_of_backticks_closes_the_span_early(text: str) -> None:
    span = for_markdown(text)
    fence = span[: len(span) - len(span.lstrip("`"))]
    inside = span[len(fence) : -len(fence)]
    runs = inside.replace("`", " ` ").split(" ")
    assert span.endswith(fence)
    assert fence not in inside or fence != "`" * max(map(len, runs))


@given(st.text(st.characters(), max_size=40))
def test_json_on_a_terminal_is_harmless_and_means_the_same(text: str) -> None:
    shown = for_json(json.dumps({text: [text]}, indent=2, ensure_ascii=False))

    assert json.loads(shown) == {text: [text]}
    assert all(each == "\n" or each.isprintable() for each in shown)


def test_json_keeps_letters_of_every_script() -> None:
    assert for_json('"é 日本 😀 \u202e\x9b"') == '"é 日本 😀 \\u202e\\u009b"'
