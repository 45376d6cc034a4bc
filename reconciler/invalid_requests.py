"""Reports of requests that an HTTP server could not read: one line each, at most one a second.

Anyone who reaches the server can send such requests, so they must not fill a log.
"""

import time
from collections.abc import Callable
from threading import Lock
from typing import Final

Report = Callable[[str, int], None]
"""Receives the error of a request, and the number of others that were not reported before it."""

SECONDS_BETWEEN: Final = 1.0
_LONGEST_REASON: Final = 200


class InvalidRequests:
    """Hands on one invalid request a second; any thread may call it."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._lock = Lock()
        self._reported_at = -SECONDS_BETWEEN
        self._unreported = 0

    def note(self, peer: str, reason: str) -> None:
        """Report that the request of a peer cannot be read, unless another one was reported just now."""
        now = time.monotonic()
        with self._lock:
            if now < self._reported_at + SECONDS_BETWEEN:
                self._unreported += 1
                return
            self._reported_at = now
            unreported, self._unreported = self._unreported, 0
        self._report(f"{peer}: {reason[:_LONGEST_REASON]}", unreported)
