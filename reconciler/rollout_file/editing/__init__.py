"""Editing a rollout file by program: only the lines that a change must touch are touched.

People write comments and order in this file. So each edit is a function from the file's bytes to its
bytes that splices the text, and what it makes is read again before anybody gets to see it. These
functions touch no file; `edit_rollout_file` does.
"""

from reconciler.rollout_file.editing.editable_text import Keys, Value
from reconciler.rollout_file.editing.edits import (
    with_entries,
    with_override,
    with_value,
    without_entries,
    without_override,
    without_value,
)
from reconciler.rollout_file.editing.files import edit_rollout_file

__all__ = [
    "Keys",
    "Value",
    "edit_rollout_file",
    "with_entries",
    "with_override",
    "with_value",
    "without_entries",
    "without_override",
    "without_value",
]
