"""The names of the tests: short, and in the words of the glossary."""

import ast
from collections.abc import Iterator

from tests.postgres import PROJECT

LONGEST = 69
OUTDATED = {
    "anew",
    "carried",
    "figures",
    "nobody",
    "somebody",
    "tell",
    "tells",
    "told",
    "whoever",
    "whom",
}


def names_of_tests() -> Iterator[tuple[str, str]]:
    for path in sorted((PROJECT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith(
                "test_"
            ):
                yield str(path.relative_to(PROJECT)), node.name


def test_a_name_is_short() -> None:
    assert [each for each in names_of_tests() if len(each[1]) > LONGEST] == []


def test_a_name_has_no_outdated_word() -> None:
    assert [each for each in names_of_tests() if OUTDATED & set(each[1].split("_"))] == []
