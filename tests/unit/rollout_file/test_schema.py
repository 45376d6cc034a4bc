"""The schema: generated, strict, with descriptions, and no stricter than the reader."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from reconciler.rollout_file import rollout_schema, rollout_schema_text

COMMITTED = Path(__file__).parents[3] / "schemas" / "rollout.schema.json"


def objects(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (each for each in (schema, *schema["$defs"].values()) if each.get("type") == "object")


def properties(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for each in objects(schema):
        for name, described in each["properties"].items():
            yield f"{each['title']}.{name}", described


def test_the_committed_schema_is_the_generated_one() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == rollout_schema_text(), (
        "the model changed: run `make generate`"
    )


def test_the_schema_is_valid_in_its_dialect() -> None:
    schema = rollout_schema()

    Draft202012Validator.check_schema(schema)

    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_the_schema_is_strict_everywhere() -> None:
    schema = rollout_schema()

    strict = [each["additionalProperties"] for each in objects(schema)]

    assert strict == [False] * len(strict)
    assert schema["properties"]["features"]["additionalProperties"] is False


def test_every_key_has_a_title_a_description_and_examples() -> None:
    described = dict(properties(rollout_schema()))

    assert described
    assert [
        (name, missing)
        for name, each in described.items()
        for missing in ("title", "description", "examples")
        if not each.get(missing)
    ] == []


@pytest.mark.parametrize(("name", "described"), list(properties(rollout_schema())))
def test_examples_and_defaults_are_valid_by_themselves(
    name: str, described: dict[str, Any]
) -> None:
    validator = Draft202012Validator({"$defs": rollout_schema()["$defs"], **described})
    samples = [
        *described.get("examples", []),
        *(described[key] for key in {"default"} & {*described}),
    ]

    assert [sample for sample in samples if not validator.is_valid(sample)] == []


def test_no_key_accepts_null() -> None:
    assert "null" not in rollout_schema_text()
