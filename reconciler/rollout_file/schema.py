"""The JSON Schema of the file, generated from the model, for editors and for other validators.

The reader alone checks the rules between values and the calendar.
"""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

from reconciler.rollout_file.described_schema import DescribedSchema
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


class _FileSchema(DescribedSchema):
    """Describes the YAML that may be written: numbers as numbers, and no null."""

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


def _number(value: object) -> object:
    if not isinstance(value, Decimal):
        return value
    return int(value) if value == value.to_integral_value() else float(value)
