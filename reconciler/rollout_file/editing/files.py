"""Editing a file where it is: read, edited, and replaced in one step."""

from collections.abc import Callable
from pathlib import Path

from reconciler.errors import EditRefused, FileInvalid
from reconciler.rollout_file.replacing import replace_file
from reconciler.rollout_file.sources import read_content


def edit_rollout_file(path: Path, edit: Callable[[bytes], bytes]) -> tuple[bytes, bytes]:
    """Edit a file in place, and return its content before and after; the same is not written.

    Raises:
        EditRefused: the edit can't be made, or the file changed meanwhile.
        FileInvalid: the file is a symlink, or is not accepted as it is.
        SetupInvalid: it is missing, or can't be read or written.
    """
    before = read_content(path)
    try:
        after = edit(before)
    except FileInvalid as error:
        raise FileInvalid(str(path), error.findings) from error
    except EditRefused as error:
        raise EditRefused(f"{path}: {error}") from error
    if after != before:
        if read_content(path) != before:
            raise EditRefused(f"{path}: somebody changed the file meanwhile; try again")
        replace_file(path, after)
    return before, after
