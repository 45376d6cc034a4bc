"""Rules for the tests: short names in the words of the glossary, and no private names of the program."""

import ast
import re
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
PRIVATE = re.compile(r"^((reconciler|rollout_client)\.[\w.]*\.)?_[A-Za-z]\w*$")


def nodes() -> Iterator[tuple[str, ast.AST]]:
    for path in sorted((PROJECT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            yield str(path.relative_to(PROJECT)), node


def names_of_tests() -> Iterator[tuple[str, str]]:
    for path, node in nodes():
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                if name.startswith("test_"):
                    yield path, name


def test_a_name_is_short() -> None:
    assert [each for each in names_of_tests() if len(each[1]) > LONGEST] == []


def test_a_name_has_no_outdated_word() -> None:
    assert [each for each in names_of_tests() if OUTDATED & set(each[1].split("_"))] == []


def test_no_test_replaces_a_private_name() -> None:
    replaced = [
        (path, argument.value)
        for path, node in nodes()
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "setattr"
        for argument in node.args[:2]
        if isinstance(argument, ast.Constant)
    ]

    assert replaced
    assert [each for each in replaced if PRIVATE.match(str(each[1]))] == []
