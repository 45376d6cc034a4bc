"""A file that is read again when it changes."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, TypeVar

from reconciler.errors import SetupInvalid

Content = TypeVar("Content")

_LOOK_EVERY_SECONDS: Final = 1.0


class WatchedFile(Generic[Content]):
    """The parsed content of a file, as of at most a second ago.

    While the file cannot be read, the earlier content counts: a file may be missing while it is replaced.
    """

    def __init__(
        self,
        path: Path,
        read: Callable[[Path], Content],
        on_kept: Callable[[SetupInvalid], None],
    ) -> None:
        """Read the file.

        Args:
            path: the file.
            read: returns its parsed content.
            on_kept: called with the reason where the earlier content still counts.

        Raises:
            SetupInvalid: `read` refuses it.
        """
        self._path, self._read, self._on_kept = path, read, on_kept
        self._seen = self._stamp()
        self._content = read(path)
        self._look_at = time.monotonic() + _LOOK_EVERY_SECONDS

    def current(self) -> Content:
        """Return the content."""
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _LOOK_EVERY_SECONDS
            stamp = self._stamp()
            if stamp != self._seen:
                self._seen = stamp
                try:
                    self._content = self._read(self._path)
                except SetupInvalid as error:
                    self._on_kept(error)
        return self._content

    def _stamp(self) -> tuple[int, ...]:
        try:
            status = self._path.stat()
        except OSError:
            return ()
        return status.st_ino, status.st_mtime_ns, status.st_size
