"""Editing a rollout file by program: an edit changes only the lines that it must.

People write comments and order in this file. So each edit is a function from bytes to bytes that splices
the text, and its result is read again before it is returned. Only `edit_rollout_file` touches a file.
"""

from reconciler.rollout_file.editing.editable_text import Keys, Value
from reconciler.rollout_file.editing.edits import (
    with_entries,
    with_item,
    with_override,
    with_table,
    with_value,
    without_entries,
    without_item,
    without_override,
    without_value,
)
from reconciler.rollout_file.editing.files import edit_rollout_file

__all__ = [
    "Keys",
    "Value",
    "edit_rollout_file",
    "with_entries",
    "with_item",
    "with_override",
    "with_table",
    "with_value",
    "without_entries",
    "without_item",
    "without_override",
    "without_value",
]
