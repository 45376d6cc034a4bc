"""A written file reads back as the same state, and looks like a file that people write."""

from decimal import Decimal

import pytest
from hypothesis import given
from inline_snapshot import snapshot

from reconciler.rollout_file import parse_rollout
from reconciler.rollout_file.model import Feature, Rollout
from reconciler.rollout_file.yaml_writer import render_rollout
from tests.unit.rollout_file.test_properties import rollouts


@given(rollout=rollouts)
def test_a_written_file_reads_back_the_same(rollout: Rollout) -> None:
    text = render_rollout(rollout, ["A comment."])
    assert parse_rollout(text.encode(), path="rollout.yaml").rollout == rollout


@pytest.mark.parametrize(
    "text",
    [
        "true",
        "no",
        "~",
        "10",
        "1e3",
        "0x10",
        "a: b",
        "a #b",
        "- a",
        "'",
        '"',
        "*a",
        "{",
        "é",
        "24h",
    ],
)
def test_a_written_text_stays_a_text(text: str) -> None:
    rollout = Rollout(version=1, features={"null": Feature(description=text, salt=text)})
    assert parse_rollout(render_rollout(rollout).encode(), path="x").rollout == rollout


def test_only_values_that_differ_from_the_defaults_are_written() -> None:
    rollout = Rollout(
        version=1,
        features={
            "capture": Feature(percentage=Decimal("12.50"), whitelist=("acme/*",), active=False),
            "plain": Feature(),
        },
    )
    assert render_rollout(rollout, ["Who is in."]) == snapshot("""\
# yaml-language-server: $schema=schemas/rollout.schema.json
# Who is in.
version: 1

features:
  capture:
    active: false
    strategy: percentage
    percentage: 12.5
    whitelist:
      - acme/*
  plain:
    strategy: percentage
    percentage: 0
""")
