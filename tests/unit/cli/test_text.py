"""Text for a terminal: labels, wrapped sentences, tables that fit."""

import click
import pytest

from reconciler.cli.render.text import Column, fitted, fixed_width, line, paragraph, table

COLUMNS = (Column("name"), Column("jobs", right=True), Column("last error"))
ROWS = [
    ("acme/tools", "12", "the runner was lost while it cloned the repository"),
    ("b/c", "3", "-"),
]


def test_text_follows_a_long_label() -> None:
    assert line("emergency_stop", "on") == "    emergency_stop on"


def test_a_table_that_fits_is_one_line_a_row() -> None:
    with fixed_width(100):
        assert table(COLUMNS, ROWS).splitlines() == [
            "name        jobs  last error",
            "acme/tools    12  the runner was lost while it cloned the repository",
            "b/c            3  -",
        ]


def test_a_wide_table_wraps_its_sentences() -> None:
    with fixed_width(50):
        lines = table(COLUMNS, ROWS).splitlines()

    assert lines == [
        "name        jobs  last error",
        "acme/tools    12  the runner was lost while it",
        "                  cloned the repository",
        "b/c            3  -",
    ]


def test_a_table_that_cannot_fit_is_a_block_a_row() -> None:
    with fixed_width(40):
        shown = table((*COLUMNS, Column("seconds", right=True)), [(*ROWS[0], "1.50")])

    assert shown.splitlines() == [
        "acme/tools",
        "    jobs        12",
        "    last error  the runner was lost",
        "                while it cloned the",
        "                repository",
        "    seconds     1.50",
    ]


@pytest.mark.parametrize("columns", [40, 60, 100])
def test_a_sentence_wraps_at_the_width(columns: int) -> None:
    with fixed_width(columns):
        lines = list(
            paragraph("reason", "errors since the last stage, see the incident of today " * 3)
        )

    lines = [click.unstyle(each) for each in lines]
    assert max(map(len, lines)) <= columns
    assert lines[0].startswith("    reason       errors")
    assert lines[1].startswith(" " * 17)


def test_a_message_is_cut_neither_in_a_word_nor_in_a_command() -> None:
    message = (
        "    To see it: reconcile --file 'my team/rollout.yaml' drift revert --yes. Next: push it"
    )

    with fixed_width(40):
        lines = fitted(f"short\n{message}").splitlines()

    assert lines == [
        "short",
        "    To see it:",
        "        reconcile --file 'my team/rollout.yaml' drift revert --yes.",
        "        Next: push it",
    ]
