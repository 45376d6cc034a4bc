"""The corpus: one rollout file for each case, with the expected answers of reader and schema.

`NAME.expected` begins with `reader: accepts` or `refuses`, then `schema: accepts`, `refuses` or
`unread` (the file has no value that a schema could check). The reader's message follows as it is
printed. If the two differ, a schema cannot express the rule.
"""

from decimal import Decimal
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from reconciler.errors import FileInvalid
from reconciler.rollout_file import parse_rollout
from reconciler.rollout_file.characters import forbidden_characters
from reconciler.rollout_file.file_content import decode
from reconciler.rollout_file.nodes import Nothing, node_value
from reconciler.rollout_file.yaml_parser import compose

CORPUS = Path(__file__).parents[2] / "corpus" / "rollout_file"


def observe(case: Path, schema: Draft202012Validator) -> str:
    """Return the answers of the reader and the schema to a case, in the form of `NAME.expected`."""
    content = case.read_bytes()
    verdict, *messages = _reader_says(content)
    return "\n".join([verdict, _schema_says(content, schema), *messages, ""])


def as_json(value: Any) -> Any:
    """Return the reader's own value as a JSON parser would return it."""
    match value:
        case dict():
            return {key: as_json(each) for key, each in value.items()}
        case tuple():
            return [as_json(each) for each in value]
        case Decimal():
            return (
                int(value)
                if value.as_tuple().exponent == 0 and value.adjusted() < 300
                else float(value)
            )
        case Nothing():
            return None
        case _:
            return value


def _reader_says(content: bytes) -> list[str]:
    try:
        parse_rollout(content, path="rollout.yaml")
    except FileInvalid as error:
        return ["reader: refuses", str(error)]
    return ["reader: accepts"]


def _schema_says(content: bytes, schema: Draft202012Validator) -> str:
    try:
        text = decode(content, "rollout.yaml")
    except FileInvalid:
        return "schema: unread"
    root = None if forbidden_characters(text) else compose(text).root
    if root is None:
        return "schema: unread"
    return "schema: accepts" if schema.is_valid(as_json(node_value(root))) else "schema: refuses"
