"""The rollout file: `rollout.yaml` as text on one side, as the desired state on the other.

Reads and checks the file, knows its schema and its first version; touches no database and no git. The
names below are loaded when they are first used, so that the grammar alone costs no YAML and no pydantic.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reconciler.rollout_file.nodes import Place
    from reconciler.rollout_file.reader import Document, parse_rollout, read_rollout_file
    from reconciler.rollout_file.schema import rollout_schema, rollout_schema_text
    from reconciler.rollout_file.schema_address import SCHEMA_PATH, schema_address
    from reconciler.rollout_file.yaml_writer import first_rollout_file

__all__ = [
    "SCHEMA_PATH",
    "Document",
    "Place",
    "first_rollout_file",
    "parse_rollout",
    "read_rollout_file",
    "rollout_schema",
    "rollout_schema_text",
    "schema_address",
]

_MODULES = {
    "SCHEMA_PATH": "schema_address",
    "Document": "reader",
    "Place": "nodes",
    "first_rollout_file": "yaml_writer",
    "parse_rollout": "reader",
    "read_rollout_file": "reader",
    "rollout_schema": "schema",
    "rollout_schema_text": "schema",
    "schema_address": "schema_address",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
