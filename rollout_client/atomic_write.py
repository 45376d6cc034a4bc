"""Writing a whole file in one step: a reader sees the old file, no file, or the complete new one.

The new content is written beside the file and to the disk, and then gets the file's name.
"""

import glob
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from rollout_client.errors import SetupInvalid

_LEFTOVER_AFTER_SECONDS: Final = 600.0
"""A file that is still being written is younger."""
_RANDOM_LENGTH: Final = 8
"""The length of the random part in names of `tempfile`."""


def replace_file(path: Path, *parts: bytes, mode: int | None = None) -> None:
    """Write a file in place of the existing one; without a `mode`, the old mode is kept.

    Raises:
        SetupInvalid: it cannot be written.
    """
    with _written_beside(path, parts, mode) as temporary:
        temporary.replace(path)


def create_file(path: Path, content: bytes, *, instead: str) -> None:
    """Write a file that does not exist yet; `instead` is the advice if it exists.

    Raises:
        SetupInvalid: something exists already, or it cannot be written.
    """
    with _written_beside(path, (content,), None) as temporary:
        try:
            _take_name(path, temporary)
        except FileExistsError:
            raise SetupInvalid(f"{path} is there already and stays as it is; {instead}") from None


def _take_name(path: Path, temporary: Path) -> None:
    try:
        # A link fails if something exists, without a moment in between.
        path.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:
        # No hard links here, as on FAT: the name is taken first, and then the file is filled.
        path.touch(exist_ok=False)
        temporary.replace(path)


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files of processes that were killed while they wrote this file."""
    oldest = time.time() - _LEFTOVER_AFTER_SECONDS
    # Another process may remove them too, or the folder may not be readable.
    with suppress(OSError):
        for temporary in path.parent.glob(f".{glob.escape(path.name)}.{'?' * _RANDOM_LENGTH}"):
            if temporary.stat().st_mtime < oldest:
                temporary.unlink()


@contextmanager
def _written_beside(path: Path, parts: tuple[bytes, ...], mode: int | None) -> Iterator[Path]:
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.writelines(parts)
                file.flush()
                temporary.chmod(_mode(path) if mode is None else mode)
                os.fsync(file.fileno())
            yield temporary
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()
        _sync_folder(path.parent)
    except OSError as error:
        raise SetupInvalid(f"{path} cannot be written: {error.strerror}") from error


def _sync_folder(folder: Path) -> None:
    """Write the new name to the disk too, if the file system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _mode(path: Path) -> int:
    """Return the mode of the existing file, or of a new one."""
    try:
        return path.stat().st_mode & 0o7777
    except OSError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask
