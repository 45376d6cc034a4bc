"""Editing a file in place: it is read, edited and replaced in one step."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from reconciler.errors import EditRefused, FileInvalid
from reconciler.rollout_file.file_content import read_content
from rollout_client.atomic_write import replace_file


def edit_rollout_file(path: Path, edit: Callable[[bytes], bytes]) -> tuple[bytes, bytes]:
    """Edit a file in place, and return its content before and after; an unchanged file is not written.

    Edits by program wait for each other; a change that a person's editor makes meanwhile is kept.

    Raises:
        EditRefused: the edit can't be made, or the file changed meanwhile.
        FileInvalid: the file is a symlink, or is not accepted as it is.
        SetupInvalid: it is missing, or can't be read or written.
    """
    with _one_at_a_time(path.parent):
        before = read_content(path)
        try:
            after = edit(before)
        except FileInvalid as error:
            raise error.renamed(str(path)) from error
        except EditRefused as error:
            raise EditRefused(f"{path}: {error}") from error
        if after != before:
            if read_content(path) != before:
                raise EditRefused(f"{path}: the file changed during the edit; try again")
            replace_file(path, after)
    return before, after


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Lock the folder, since each edit replaces the file; go on if it can't be locked."""
    descriptor = None
    with suppress(OSError, ValueError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)
