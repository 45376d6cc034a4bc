"""Rules for names and texts: the words of the glossary, short names of tests, no private names."""

import ast
import io
import re
import tokenize
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
OUTDATED_TEXT = re.compile(
    r"(?<!`)\b(anew|everybody|nobody|somebody|whoever|whom|tells?|told|figures"
    r"|lets? in|so many|what (?:becomes|became)|who (?:is|are) in)\b",
    re.IGNORECASE,
)
"""Words of a private language, in docstrings and comments."""
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


def lines_of_text(source: str) -> set[int]:
    """Return the numbers of the lines with a docstring or a comment."""
    found: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Expr(value=ast.Constant(value=str()), lineno=first, end_lineno=int(last)):
                found.update(range(first, last + 1))
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    found.update(token.start[0] for token in tokens if token.type == tokenize.COMMENT)
    return found


def test_no_docstring_or_comment_has_an_outdated_word() -> None:
    outdated = []
    for folder in ("benchmarks", "reconciler", "rollout_client", "scripts", "tests"):
        for path in sorted((PROJECT / folder).rglob("*.py")):
            source = path.read_text("utf-8")
            lines = source.splitlines()
            outdated += [
                f"{path.relative_to(PROJECT)}:{number}: {lines[number - 1].strip()}"
                for number in sorted(lines_of_text(source))
                if OUTDATED_TEXT.search(lines[number - 1])
            ]

    assert outdated == []


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
