"""Forks: a child has the memory of its parent, and none of its threads.

What has threads, locks or connections registers here and restarts in each child: before anything else runs
there where Python sees the fork, at the next `check` where it does not, as under uWSGI.
"""

import os
import threading
from contextlib import suppress
from typing import Final, Protocol
from weakref import WeakSet


class RestartsAfterFork(Protocol):
    """Something with threads, locks or connections."""

    def restart_after_fork(self) -> None:
        """In a forked child: keep what is known, and leave threads and connections to the parent."""


_REGISTERED: Final[WeakSet[RestartsAfterFork]] = WeakSet()
_LOCKS: Final[dict[int, threading.Lock]] = {}
"""By process: the lock of the parent may be held for ever."""


class _Process:
    id = os.getpid()


def register(each: RestartsAfterFork) -> None:
    """Have `restart_after_fork` called in every child from now on, while something holds the object."""
    _REGISTERED.add(each)


def check() -> None:
    """Restart everything registered, if this process is a child that has not done so yet."""
    id_ = os.getpid()
    if id_ != _Process.id:
        with _LOCKS.setdefault(id_, threading.Lock()):
            if id_ != _Process.id:
                _restart()


def abandon(descriptor: int) -> None:
    """In a forked child: let a descriptor lead nowhere, without a word to the other side.

    Its number stays taken: an event loop that still waits for it would end the process otherwise.
    """
    # It may be closed already.
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_RDWR)
        try:
            os.dup2(nowhere, descriptor, inheritable=False)
        finally:
            os.close(nowhere)


def renewed(event: threading.Event) -> threading.Event:
    """Return an event set as this one, whose lock a thread of the parent may hold for ever."""
    own = threading.Event()
    if event.is_set():
        own.set()
    return own


def _restart() -> None:
    for each in tuple(_REGISTERED):
        each.restart_after_fork()
    _Process.id = os.getpid()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_restart)
