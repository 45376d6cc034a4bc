"""GitHub's published description of its API, reduced to what is used: checks requests and makes answers."""

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jsonschema

_DOCUMENT = json.loads(Path(__file__).with_name("openapi.json").read_text())
_SAMPLES = {"uri": "https://example.com", "date-time": "2026-11-23T12:00:00Z"}


def operation(method: str, path: str) -> tuple[str, Mapping[str, Any]] | None:
    """Return the template that matches a path, and the operation of this method."""
    for template, methods in _DOCUMENT["paths"].items():
        # The path of a file and the name of a ref have slashes.
        pattern = re.sub(r"\\\{(path|ref)\\\}", ".+", re.escape(template))
        pattern = re.sub(r"\\\{[a-z_]+\\\}", "[^/]+", pattern)
        if re.fullmatch(pattern, path) and method.lower() in methods:
            return template, methods[method.lower()]
    return None


def check_request(found: Mapping[str, Any], query: str, body: Any) -> None:
    """Raise `AssertionError` unless GitHub's description allows this query and content."""
    parameters = {each["name"]: each for each in found["parameters"] if each["in"] == "query"}
    for name, (value,) in parse_qs(query, keep_blank_values=True).items():
        assert name in parameters, f"there is no parameter {name}"
        schema = parameters[name]["schema"]
        typed: Any = int(value) if schema.get("type") == "integer" else value
        _check(typed, schema)
    if "requestBody" in found:
        _check(body, found["requestBody"])
        known = found["requestBody"].get("properties", {})
        assert body.keys() <= known.keys(), f"unknown: {body.keys() - known.keys()}"
    else:
        assert body is None, "nothing is sent with this"


def answer(found: Mapping[str, Any], status: int, value: Any) -> Any:
    """Return a checked value in the form of GitHub's description, with the required keys added."""
    schema = found["responses"][str(status)]
    shaped = _shaped(schema, value)
    _check(shaped, schema)
    return shaped


def _check(value: Any, schema: Mapping[str, Any]) -> None:
    try:
        jsonschema.Draft202012Validator({**schema, "components": _DOCUMENT["components"]}).validate(
            value
        )
    except jsonschema.ValidationError as error:
        raise AssertionError(error.message[:2000]) from error


_MISSING = object()


def _shaped(schema: Mapping[str, Any], value: Any = _MISSING) -> Any:
    schema = _resolved(schema)
    if isinstance(value, list):
        return [_shaped(schema["items"], each) for each in value]
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        required = dict.fromkeys(schema.get("required", ()), _MISSING)
        return {
            name: _shaped(properties.get(name, {}), each)
            for name, each in {**required, **value}.items()
        }
    return _least(schema) if value is _MISSING else value


def _least(schema: Mapping[str, Any]) -> Any:  # noqa: PLR0911 - one case for each type
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if isinstance(kind, list):
        return None if "null" in kind else _least({**schema, "type": kind[0]})
    match kind:
        case "object":
            return _shaped(schema, {})
        case "array":
            return []
        case "integer" | "number":
            return 1
        case "boolean":
            return False
        case "string":
            return _SAMPLES.get(schema.get("format", ""), "text")
        case _:
            return None


def _resolved(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" in schema:
        return _resolved(_component(schema["$ref"]))
    for combined in ("anyOf", "oneOf"):
        if combined in schema:
            options = [_resolved(each) for each in schema[combined]]
            return next((each for each in options if each.get("type") == "null"), options[0])
    if "allOf" in schema:
        return _resolved(schema["allOf"][0])
    return schema


@cache
def _component(reference: str) -> Mapping[str, Any]:
    schema: Mapping[str, Any] = _DOCUMENT["components"]["schemas"][reference.rsplit("/", 1)[1]]
    return schema
