"""Where the JSON Schemas are: their addresses, and the path beside a rollout file."""

from typing import Final

SCHEMA_PATH: Final = "schemas/rollout.schema.json"
"""From the folder of a rollout file: what its first line names for editors, and `init` writes."""


def schema_address(name: str) -> str:
    """Return the address of a published schema: its `$id`."""
    return (
        f"https://raw.githubusercontent.com/acme/rollout-reconciler/main/schemas/{name}.schema.json"
    )
