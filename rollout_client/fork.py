"""Forks: a child has the memory of its parent, but not its threads.

An object with threads, locks or connections registers here and is restarted in each child. If
Python sees the fork, this is before any other code runs in the child; otherwise (uWSGI) at the next
`check`.
"""

import os
import threading
from contextlib import suppress
from itertools import count
from typing import Final, NoReturn, Protocol
from weakref import WeakValueDictionary


class RestartsAfterFork(Protocol):
    """An object with threads, locks or connections."""

    def restart_after_fork(self) -> None:
        """In a forked child: keep the data, and leave threads and connections to the parent."""


_REGISTERED: Final[WeakValueDictionary[int, RestartsAfterFork]] = WeakValueDictionary()
"""In the order of registration: an object that uses another one restarts after it."""
_NUMBERS: Final = count()
_LOCKS: Final[dict[int, threading.Lock]] = {}
"""By process: the lock of the parent may stay locked forever."""


class _Process:
    id = os.getpid()


class OfOneProcess:
    """An object with threads and connections of its process, which pickle and copy refuse."""

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"a {type(self).__name__} has threads and connections of its own process, and cannot be copied or"
            " sent to another one; make one in each process, for example in the pool's initializer"
        )


def register(each: RestartsAfterFork) -> None:
    """Call `restart_after_fork` in every later child, while the object is referenced.

    Objects that were registered earlier restart first.
    """
    _REGISTERED[next(_NUMBERS)] = each


def check() -> None:
    """Restart all registered objects, if this process is a child that has not done so yet."""
    id_ = os.getpid()
    if id_ != _Process.id:
        with _LOCKS.setdefault(id_, threading.Lock()):
            if id_ != _Process.id:
                _restart()


def abandon(descriptor: int) -> None:
    """In a forked child: make a descriptor unusable without a message to the other side.

    Its number stays in use: otherwise an event loop that still waits for it would end the process.
    """
    # The descriptor may be closed already.
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_RDWR)
        try:
            os.dup2(nowhere, descriptor, inheritable=False)
        finally:
            os.close(nowhere)


def renewed(event: threading.Event) -> threading.Event:
    """Return a new event with the same flag; a thread of the parent may hold the old lock forever."""
    own = threading.Event()
    if event.is_set():
        own.set()
    return own


def _restart() -> None:
    for each in tuple(_REGISTERED.values()):
        each.restart_after_fork()
    _Process.id = os.getpid()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_restart)
