"""Editing a file where it is: read, edited, and replaced in one step."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from reconciler.atomic_write import replace_file
from reconciler.errors import EditRefused, FileInvalid
from reconciler.rollout_file.file_content import read_content


def edit_rollout_file(path: Path, edit: Callable[[bytes], bytes]) -> tuple[bytes, bytes]:
    """Edit a file in place, and return its content before and after; the same is not written.

    Edits by program wait for each other; what a person's editor writes meanwhile is not written over.

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
            raise FileInvalid(str(path), error.findings) from error
        except EditRefused as error:
            raise EditRefused(f"{path}: {error}") from error
        if after != before:
            if read_content(path) != before:
                raise EditRefused(f"{path}: somebody changed the file meanwhile; try again")
            replace_file(path, after)
    return before, after


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Hold the folder, since the file is another one after each edit; where it can't be held, go on."""
    descriptor = None
    with suppress(OSError, ValueError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)
