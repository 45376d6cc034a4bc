"""The two JSON Schemas: keys, types, limits and patterns, without the sentences that describe them."""

import json
from typing import Any

import pytest

from tests.contracts.record import check_json
from tests.postgres import PROJECT
from tests.site import Site

WORDS = {"title", "description", "examples", "$comment", "markdownDescription"}
NAMED = {"properties", "patternProperties"}
"""Keywords whose objects have names as keys."""


@pytest.mark.parametrize(
    ("name", "command"), [("rollout", ("schema",)), ("plan", ("schema", "plan"))]
)
def test_the_structure_of_a_schema(site: Site, name: str, command: tuple[str, ...]) -> None:
    published = json.loads((PROJECT / "schemas" / f"{name}.schema.json").read_text("utf-8"))
    printed = json.loads(site.reconcile(*command).stdout)

    assert printed == published
    check_json(f"{name}.schema", structure(printed, printed.get("$defs", {})))


def test_a_key_named_description_is_kept() -> None:
    schema = {"description": "x", "properties": {"description": {"$ref": "#/$defs/A"}}}

    assert structure(schema, {"A": {"title": "A", "type": "string"}}) == {
        "properties": {"description": {"type": "string"}}
    }


def structure(schema: Any, definitions: dict[str, Any]) -> Any:
    """Return a schema with each definition in place of its references, without descriptions."""
    if isinstance(schema, list):
        return [structure(each, definitions) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        referred = definitions[schema["$ref"].removeprefix("#/$defs/")]
        return structure(
            {**referred, **{key: value for key, value in schema.items() if key != "$ref"}},
            definitions,
        )
    found: dict[str, Any] = {}
    for key, value in schema.items():
        if key in WORDS or key == "$defs":
            continue
        if key in NAMED:
            found[key] = {name: structure(each, definitions) for name, each in value.items()}
        else:
            found[key] = structure(value, definitions)
    return found
