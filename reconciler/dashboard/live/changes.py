"""The version of what pages show, and those who wait for the next one."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from secrets import token_hex
from threading import Lock
from typing import Final

CONFIRMED_SECONDS: Final = 10.0
"""After this time without a sign of the database, a page does not count as current."""


class Mode(StrEnum):
    """How changes are noticed."""

    LISTENING = "listening"
    POLLING = "polling"


@dataclass(frozen=True, slots=True)
class State:
    """What a page hears."""

    version: str
    mode: Mode


class Changes:
    """Counts changes; a thread notes them, and streams wait for them."""

    def __init__(self) -> None:
        self._process = token_hex(4)
        """Another replica, or this one after a restart, has other versions."""
        self._count = 0
        self._mode = Mode.LISTENING
        self._confirmed_at = float("-inf")
        self._events: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        self._lock = Lock()
        self.has_ended = False

    @property
    def version(self) -> str:
        """The version now."""
        return f"{self._process}.{self._count}"

    @property
    def mode(self) -> Mode:
        """How changes are noticed."""
        return self._mode

    @property
    def streams(self) -> int:
        """The number of streams that wait."""
        return len(self._events)

    def confirmed(self) -> State | None:
        """Return the state; None if the database has given no sign of life lately."""
        if time.monotonic() - self._confirmed_at > CONFIRMED_SECONDS:
            return None
        return State(self.version, self._mode)

    def note(self, mode: Mode, *, is_changed: bool) -> None:
        """Note a sign of the database, and whether something changed; called by the thread."""
        self._mode, self._confirmed_at = mode, time.monotonic()
        self._count += is_changed
        self._wake()

    def end(self) -> None:
        """End all streams."""
        self.has_ended = True
        self._wake()

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[asyncio.Event]:
        """Yield an event that is set by each sign, and at the end."""
        event = asyncio.Event()
        with self._lock:
            self._events[event] = asyncio.get_running_loop()
        try:
            yield event
        finally:
            with self._lock:
                del self._events[event]

    def _wake(self) -> None:
        with self._lock:
            for event, loop in self._events.items():
                loop.call_soon_threadsafe(event.set)
