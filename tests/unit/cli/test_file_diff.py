"""The diff of an edited file as a command prints it."""

import difflib
from collections.abc import Sequence
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.cli.render import file_diff as module
from reconciler.cli.render.file_diff import file_diff


def shown(before: bytes, after: bytes, path: str = "rollout.yaml") -> str:
    return click.unstyle(file_diff(path, before, after))


def test_a_changed_line_is_shown_between_its_neighbours() -> None:
    assert shown(b"a\nb\nc\n", b"a\nB\nc\n") == (
        "--- rollout.yaml\n+++ rollout.yaml\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c"
    )


def test_a_missing_final_line_feed_is_shown() -> None:
    assert shown(b"a", b"a\nb").splitlines()[3:] == [
        "-a",
        "\\ No newline at end of file",
        "+a",
        "+b",
        "\\ No newline at end of file",
    ]


def test_control_characters_in_a_diff_are_escaped() -> None:
    text = shown(b"a: 1\r\n", "a: 2  # \x1b[31m\u202e\r\n".encode(), "x\n.yaml")

    assert text.splitlines() == [
        "--- x\\n.yaml",
        "+++ x\\n.yaml",
        "@@ -1 +1 @@",
        "-a: 1\\r",
        "+a: 2  # \\x1b[31m\\u202e\\r",
    ]


def test_the_same_content_has_no_diff() -> None:
    assert shown(b"a\n", b"a\n") == ""


@given(st.lists(st.sampled_from(["", *"abcdefgh"]), max_size=30), st.data())
def test_a_diff_has_the_lines_that_differ(lines: list[str], data: st.DataObject) -> None:
    """The diff is correct and in the usual form; it need not be the shortest."""
    old = [f"{each}\n" for each in lines]
    new = [each for each in old if data.draw(st.booleans())]
    at = data.draw(st.integers(0, len(new)))
    new[at:at] = data.draw(st.lists(st.sampled_from(["new\n", "a\n"]), max_size=3))

    told = shown("".join(old).encode(), "".join(new).encode()).splitlines()

    assert applied(old, told) == new


def applied(old: Sequence[str], diff: Sequence[str]) -> list[str]:
    """Return a text with a diff applied, after a check that the diff fits the text."""
    new: list[str] = []
    place = 0
    for line in diff[2:]:
        if line.startswith("@@"):
            begin, _, count = line.split()[1][1:].partition(",")
            skipped = int(begin) - (0 if count == "0" else 1)
            new += old[place:skipped]
            place = skipped
            continue
        if line[0] in " -":
            assert old[place] == f"{line[1:]}\n"
            place += 1
        if line[0] in " +":
            new.append(f"{line[1:]}\n")
    return [*new, *old[place:]]


def test_the_context_of_an_entry_is_found_without_comparing_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[int] = []

    def compare(isjunk: None, old: Sequence[str], new: Sequence[str], **options: Any) -> Any:
        compared.append(len(old) * len(new))
        return difflib.SequenceMatcher(isjunk, old, new, **options)

    lines = [f"# about {number}\n\n- acme/{number}\n" for number in range(500)]
    left = [each if at % 2 else each.replace("- ", "# - ") for at, each in enumerate(lines)]
    monkeypatch.setattr(module, "SequenceMatcher", compare)

    file_diff("rollout.yaml", "".join(lines).encode(), "".join(left).encode())

    assert sum(compared) < 10 * len(lines)
