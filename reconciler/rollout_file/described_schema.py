"""A JSON Schema whose descriptions are the texts below the fields of the models."""

import ast
import inspect
from itertools import pairwise

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema


class DescribedSchema(GenerateJsonSchema):
    """Adds the text below each field."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        described = super().model_schema(schema)
        fields = schema["cls"].model_fields
        for field, text in _attribute_docstrings(schema["cls"]).items():
            name = fields[field].alias or field
            described["properties"][name]["description"] = text
            described["properties"][name].setdefault("title", self.get_title_from_name(name))
        return described


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
