"""Annotations: one line each with any text, and no more of them than GitHub shows."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.cli.render.annotations import (
    MAX_MESSAGE,
    Annotation,
    Level,
    plain_output,
    workflow_command,
    workflow_commands,
)


def test_messages_and_properties_are_escaped_as_the_runner_reads_them() -> None:
    command = workflow_command(
        Annotation(
            Level.ERROR, "50 %: a,b\nnext", title="a:b,c %", file="o,d/r:x.yaml", line=3, column=5
        )
    )

    assert command == (
        "::error file=o%2Cd/r%3Ax.yaml,line=3,col=5,title=a%3Ab%2Cc %25::50 %25: a,b%0Anext"
    )


@given(st.text(), st.text(), st.text())
def test_an_annotation_with_any_text_is_one_command(message: str, title: str, file: str) -> None:
    command = workflow_command(Annotation(Level.NOTICE, message, title=title, file=file, line=1))

    assert len(command.splitlines()) == 1
    assert command.isprintable()
    head = re.match(r"::notice file=([^:,]*),line=1,title=([^:,]*)::", command)
    assert head is not None, command


@given(st.text())
def test_no_line_of_plain_output_is_a_command_before_the_word(text: str) -> None:
    first, *_, last = plain_output(text).split("\n")

    word = re.fullmatch("::stop-commands::([0-9a-f]{32})", first)
    assert word is not None
    assert last == f"::{word[1]}::"
    assert word[1] not in text


@pytest.mark.parametrize(("found", "shown", "more"), [(10, 10, None), (11, 10, 2), (500, 10, 491)])
def test_the_last_annotation_counts_those_not_shown(
    found: int, shown: int, more: int | None
) -> None:
    commands = list(workflow_commands(Annotation(Level.ERROR, f"e{n}") for n in range(found)))

    assert len(commands) == shown
    assert commands[-1] == (f"::error::and {more} more, see the log" if more else "::error::e9")


def test_levels_are_counted_separately() -> None:
    annotations = [Annotation(level, str(n)) for n in range(10) for level in Level]

    assert len(list(workflow_commands(annotations))) == 30


def test_a_long_message_is_cut() -> None:
    assert len(workflow_command(Annotation(Level.ERROR, "x" * 1_000_000))) < MAX_MESSAGE + 20


def test_a_file_is_named_from_the_root_of_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_WORKSPACE", "/checkout")

    inside = workflow_command(Annotation(Level.ERROR, "m", file="/checkout/a/../b/rollout.yaml"))
    outside = workflow_command(Annotation(Level.ERROR, "m", file="/elsewhere/rollout.yaml"))

    assert inside == "::error file=b/rollout.yaml::m"
    assert outside == "::error file=/elsewhere/rollout.yaml::m"
