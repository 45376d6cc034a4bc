"""The JSON Schema of the file, generated from the model, for editors and for other validators.

The reader alone checks the rules between values and the calendar.
"""

import ast
import inspect
import json
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from reconciler.rollout_file.durations import format_duration
from reconciler.rollout_file.model import Rollout
from reconciler.rollout_file.schema_address import schema_address
from rollout_client.targeting.strategy import Strategy

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def rollout_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a rollout file."""
    schema = Rollout.model_json_schema(schema_generator=_FileSchema)
    return {"$schema": DIALECT, "$id": schema_address("rollout"), **schema}


def rollout_schema_text() -> str:
    """Return the schema as `schemas/rollout.schema.json` holds it."""
    return json.dumps(rollout_schema(), indent=2, ensure_ascii=False) + "\n"


class _FileSchema(GenerateJsonSchema):
    """Describes the YAML that may be written: numbers as numbers, and no null."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        described = super().model_schema(schema)
        fields = schema["cls"].model_fields
        for field, text in _attribute_docstrings(schema["cls"]).items():
            name = fields[field].alias or field
            described["properties"][name]["description"] = text
            described["properties"][name].setdefault("title", self.get_title_from_name(name))
        return described

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        described: JsonSchemaValue = {"type": "number"}
        self.update_with_validations(described, schema, self.ValidationsMapping.numeric)
        return {key: _number(value) for key, value in described.items()}

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        described = self.generate_inner(schema["schema"])
        default = schema.get("default")
        match default:
            case timedelta():
                default = format_duration(default)
            case Decimal():
                default = _number(default)
            case Strategy():
                default = default.value
            case bool() | int():
                pass
            case _:
                return described
        return {**described, "default": default}


def _attribute_docstrings(model: type) -> dict[str, str]:
    """Return the text below each field of a model.

    Pydantic can read them too, but would do so at each import of the model, in every command.
    """
    (definition,) = ast.parse(inspect.getsource(model)).body
    assert isinstance(definition, ast.ClassDef), "the source of a class"  # noqa: S101
    found: dict[str, str] = {}
    for statement, below in pairwise(definition.body):
        match statement, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(ast.Constant(str(text))):
                found[name] = text
            case _:
                pass
    return found


def _number(value: object) -> object:
    if not isinstance(value, Decimal):
        return value
    return int(value) if value == value.to_integral_value() else float(value)
