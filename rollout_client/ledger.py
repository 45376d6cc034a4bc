"""A ledger shared by forked processes: the number of unsettled outcomes of each process.

A process that is killed, or ends without exit handlers, loses its unwritten outcomes. Its parent
and its siblings find their number here.
"""

import mmap
import os
from struct import Struct
from typing import Final

_SLOTS: Final = 1024
_SLOT: Final = Struct("<QQ")
"""A process id, and its number of waiting outcomes."""


class Ledger:
    """The waiting outcomes of each process of a family; the memory is shared across forks."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _SLOTS * _SLOT.size)
        self._offset: int | None = None

    def set_waiting(self, waiting: int) -> None:
        """Store the number of waiting outcomes in this process."""
        if self._offset is None and waiting:
            self._offset = self._free_offset()
        if self._offset is not None:
            _SLOT.pack_into(self._memory, self._offset, os.getpid(), waiting)

    def lost(self) -> int:
        """Return the number of outcomes that were waiting in processes that have ended."""
        return sum(
            waiting
            for process, waiting in _SLOT.iter_unpack(self._memory[:])
            if waiting and not _is_alive(process)
        )

    def restart_after_fork(self) -> None:
        """In a forked child: use a new slot."""
        self._offset = None

    def _free_offset(self) -> int | None:
        """Return a slot without a loss; None if a thousand processes lost outcomes.

        Two siblings that search at once begin at different slots, because their ids differ.
        """
        for step in range(_SLOTS):
            offset = (os.getpid() + step) % _SLOTS * _SLOT.size
            process, waiting = _SLOT.unpack_from(self._memory, offset)
            if process in (0, os.getpid()) or (not waiting and not _is_alive(process)):
                return offset
        return None


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
