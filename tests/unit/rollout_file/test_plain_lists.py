"""Long lists: a run of plain entries is read as the YAML parser reads it, wherever it stands."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.rollout_file.nodes import node_value
from reconciler.rollout_file.yaml_parser import Composition, compose

RUN = [f"acme/repository-{number}" for number in range(40)]

SURROUNDINGS = {
    "list": "version: 1\nwhitelist:\n{lines}\nnext: 1\n",
    "list without an indentation": "a:\n{lines}\n",
    "list at the end of the text": "a:\n{lines}",
    "list that ends with a comment": "a:\n{lines} # the last\nb: 1\n",
    "list whose last entry goes on": "a:\n{lines}\n          and more\nb: 1\n",
    "list whose last line is a key": "a:\n{lines}: 1\nb: 1\n",
    "list within a list": "a:\n- \n{lines}\n- b\n",
    "two lists": "a:\n{lines}\nb:\n{lines}\nc: [1]\n",
    "list twice, with a comment between": "a:\n{lines}\n# more\n{lines}\n",
    "literal text": "a: |\n{lines}\nb: 1\n",
    "folded text": "a: >-\n{lines}\nb: 1\n",
    "plain text of many lines": "a: b\n{lines}\nb: 1\n",
    "quoted text": 'a: "b\n{lines}"\nb: 1\n',
    "comment before it": "# a\na: # b\n\n{lines}\n",
    "list in brackets": "a: [\n{lines}\n]\n",
    "key": "? a\n: b\n?\n{lines}\n: c\n",
    "document behind it": "a:\n{lines}\n---\nb: 1\n",
    "directive behind it": "a:\n{lines}\n...\n%YAML 1.1\n",
    "directive before it": "%YAML 1.1\n---\na:\n{lines}\n",
    "anchor and alias": "a: &x\n{lines}\nb: *x\n",
    "duplicate key behind it": "a:\n{lines}\na: 1\n",
    "syntax error behind it": "a:\n{lines}\nb: [\n",
    "text beyond the ASCII characters before it": "# 𝔘 ü\na:\n{lines}\nb: ü\n",
}


def read_line_by_line(text: str) -> Composition:
    """Return what the YAML parser alone reads: no run ends its lines in this way."""
    return compose(text.replace("\n", "\r\n"))


@pytest.mark.parametrize("surroundings", SURROUNDINGS.values(), ids=SURROUNDINGS)
@pytest.mark.parametrize("indentation", [0, 1, 4])
def test_a_run_means_what_the_parser_reads(surroundings: str, indentation: int) -> None:
    lines = "\n".join(f"{' ' * indentation}- {entry}" for entry in RUN)
    text = surroundings.format(lines=lines)

    assert compose(text) == read_line_by_line(text)


LINES = st.sampled_from(
    [
        *("- acme/api", "  - acme/api", "    - acme/api", "  - acme/api # why", "  - 'acme/api'"),
        *(
            "a:",
            "b: |",
            "  c:",
            "  d: text",
            "  - e: 1",
            "-",
            "  -",
            "",
            "# a comment",
            "  more",
            "]",
        ),
    ]
)
RUNS = st.builds(
    lambda indentation, number: [f"{' ' * indentation}- acme/{each}" for each in range(number)],
    st.sampled_from([0, 2, 4]),
    st.integers(10, 40),
)


@given(st.lists(LINES.map(lambda line: [line]) | RUNS, max_size=12), st.sampled_from(["", "\n"]))
def test_runs_between_any_lines_mean_what_the_parser_reads(
    parts: list[list[str]], end: str
) -> None:
    text = "\n".join(line for part in parts for line in part) + end

    assert compose(text) == read_line_by_line(text)


def test_entries_like_other_values_are_read_as_outside_of_a_run() -> None:
    entries = [
        "true",
        "1",
        "1.5",
        "null",
        "0x1F",
        "1e3",
        "2026-11-28",
        "owner/*",
        "a/b",
        "no",
        "on",
    ]
    text = "a:\n" + "".join(f"- {entry}\n" for entry in entries * 3)

    found, expected = compose(text).root, read_line_by_line(text).root

    assert found is not None
    assert expected is not None
    assert node_value(found) == node_value(expected)
