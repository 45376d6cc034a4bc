"""The type of a list of repositories: whitelist, exclusions, test repositories."""

from typing import Annotated

from pydantic import Field, PlainValidator, ValidatorFunctionWrapHandler, WrapValidator

from reconciler.rollout_file.list_entries import (
    ENTRY_HINT,
    ENTRY_PATTERN,
    are_entries,
    entry_problem,
)
from reconciler.rollout_file.value_types import Written, refused, wrong_type


def _entry(value: object) -> str:
    if not isinstance(value, str):
        raise wrong_type(ENTRY_HINT)
    if problem := entry_problem(value):
        raise refused(problem)
    return value


def _entries(value: object, each_by_itself: ValidatorFunctionWrapHandler) -> tuple[str, ...]:
    """Return a list's entries; a list can have 100,000, and a validator's call for each takes longer."""
    if isinstance(value, tuple) and set(map(type, value)) <= {str} and are_entries(value):
        return value
    entries: tuple[str, ...] = each_by_itself(value)
    return entries


_Entry = Annotated[str, PlainValidator(_entry), Written(ENTRY_PATTERN)]
Entries = Annotated[
    tuple[_Entry, ...],
    WrapValidator(_entries),
    Field(json_schema_extra={"uniqueItems": True}),
]
