"""The plan's schema is generated and published, and describes what the program prints."""

import json

from jsonschema import Draft202012Validator

from reconciler.planning.report import plan_schema
from tests.postgres import PROJECT


def test_the_published_schema_is_the_generated_one() -> None:
    published = (PROJECT / "schemas" / "plan.schema.json").read_text("utf-8")

    assert json.loads(published) == plan_schema(), "run: make generate"


def test_the_schema_refuses_unknown_keys() -> None:
    schema = plan_schema()
    Draft202012Validator.check_schema(schema)

    definitions = [schema, *schema["$defs"].values()]
    assert all(
        each.get("additionalProperties") is False for each in definitions if "properties" in each
    )
