"""The stream of versions, as Server-Sent Events, and parts of pages that many tabs ask for at once."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Final

from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from reconciler.dashboard.live.changes import Changes
from reconciler.dashboard.live.listener import Listener

if TYPE_CHECKING:
    from starlette.requests import Request

_LONGEST_SECONDS: Final = 300.0
"""A stream ends after this time and the browser opens another one, with its sign-in."""
_PAUSE_SECONDS: Final = 0.2
"""Between two messages: a flood of changes is one message."""
_RETRY_MILLISECONDS: Final = (500, 2_500)
"""When a browser connects again, at random, so that tabs do not do so at once."""
_KEPT_SECONDS: Final = 1.0
_MOST_PARTS: Final = 200


def stream_route(listener: Listener) -> Route:
    """Return the route of the stream."""

    async def answer(_request: "Request") -> Response:
        listener.start()
        headers = {"X-Accel-Buffering": "no"}
        return StreamingResponse(
            _messages(listener.changes), media_type="text/event-stream", headers=headers
        )

    return Route("/live", answer, methods=["GET"])


async def _messages(changes: Changes) -> AsyncIterator[str]:
    yield f"retry: {random.randint(*_RETRY_MILLISECONDS)}\n\n"  # noqa: S311 - no secret
    ends_at = time.monotonic() + _LONGEST_SECONDS
    async with changes.waiting() as event:
        event.set()
        while not changes.has_ended and time.monotonic() < ends_at:
            with suppress(TimeoutError):
                await asyncio.wait_for(event.wait(), ends_at - time.monotonic())
            event.clear()
            state = changes.confirmed()
            if state is not None and not changes.has_ended:
                yield f"data: {json.dumps(asdict(state))}\n\n"
                await asyncio.sleep(_PAUSE_SECONDS)


@dataclass(slots=True)
class _Part:
    """A part of a page, being rendered or rendered."""

    version: str
    lock: Lock = field(default_factory=Lock)
    response: Response | None = None
    until: float = 0.0


class Parts:
    """Parts of pages: tabs that ask for the same one at once get one answer."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._parts: dict[Hashable, _Part] = {}
        self._lock = Lock()

    @property
    def version(self) -> str:
        """The version now."""
        return self._changes.version

    def get(self, key: Hashable, render: Callable[[], Response]) -> Response:
        """Return a part that is of the present version and at most a second old."""
        part = self._part(key, self._changes.version)
        with part.lock:
            if part.response is None or time.monotonic() > part.until:
                part.response = render()
                part.until = time.monotonic() + _KEPT_SECONDS
            kept = part.response
        return Response(kept.body, kept.status_code, media_type=kept.media_type or "text/html")

    def _part(self, key: Hashable, version: str) -> _Part:
        with self._lock:
            part = self._parts.pop(key, None)
            if part is None or part.version != version:
                part = _Part(version)
            self._parts[key] = part
            while len(self._parts) > _MOST_PARTS:
                del self._parts[next(iter(self._parts))]
            return part
