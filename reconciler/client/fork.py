"""Forks: a child has the parent's memory, and none of its threads.

Who registers is asked to begin again in each child, before anything else runs there.
"""

import os
import threading
from typing import Final, Protocol
from weakref import WeakSet


class RestartsAfterFork(Protocol):
    """Something with threads, locks or connections."""

    def begin_again(self) -> None:
        """In a forked child: go on with what is known, and leave what runs to the parent."""


_REGISTERED: Final[WeakSet[RestartsAfterFork]] = WeakSet()
_LEFT_TO_PARENT: Final[list[object]] = []


def register(each: RestartsAfterFork) -> None:
    """Have `begin_again` called in every child from now on, for as long as somebody holds it."""
    _REGISTERED.add(each)


def leave_to_parent(*things: object) -> None:
    """Never let go of these: a child that did would end the parent's connections in order."""
    _LEFT_TO_PARENT.extend(things)


def renewed(event: threading.Event) -> threading.Event:
    """Return an event that is set as this one, whose lock a thread of the parent's may hold for ever."""
    own = threading.Event()
    if event.is_set():
        own.set()
    return own


def _begin_again() -> None:
    for each in tuple(_REGISTERED):
        each.begin_again()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_again)
