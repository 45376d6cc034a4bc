"""The diff of an edited file, as people see it."""

import click

from reconciler.cli.render.file_diff import file_diff


def shown(before: bytes, after: bytes, path: str = "rollout.yaml") -> str:
    return click.unstyle(file_diff(path, before, after))


def test_a_changed_line_is_shown_between_its_neighbours() -> None:
    assert shown(b"a\nb\nc\n", b"a\nB\nc\n") == (
        "--- rollout.yaml\n+++ rollout.yaml\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c"
    )


def test_a_missing_final_line_feed_is_told() -> None:
    assert shown(b"a", b"a\nb").splitlines()[3:] == [
        "-a",
        "\\ No newline at end of file",
        "+a",
        "+b",
        "\\ No newline at end of file",
    ]


def test_what_acts_on_a_terminal_is_spelled_out() -> None:
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
