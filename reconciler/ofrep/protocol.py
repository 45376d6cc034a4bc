"""The HTTP connections of the server: their largest number, and the time for a request to arrive."""

import asyncio
import sys
from typing import ClassVar, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from reconciler.invalid_requests import InvalidRequests

MAX_CONNECTIONS: Final = 512
"""More connections close the one that has waited longest for a request; a process has 1,024 descriptors."""
REQUEST_SECONDS: Final = 10.0
"""From the connection, or from the first byte of the next request, to the end of the request."""

_INCOMPLETE: Final = (h11.IDLE, h11.SEND_BODY)
"""States of a sender whose request is not complete."""


class BoundedProtocol(H11Protocol):
    """A connection that is closed if its sender does not send a complete request in time."""

    _deadline: asyncio.TimerHandle | None = None
    invalid_requests: ClassVar[InvalidRequests]
    """Counts the requests that cannot be read; the class of each server has its own."""

    waits_since: float = 0.0
    """The time at which it began to wait for a request, by the loop's clock."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.waits_since = self.loop.time()
        self._require_request()
        if len(self.connections) > MAX_CONNECTIONS:
            # This connection waits too, so that there is always one to close.
            found = (each for each in self.connections if isinstance(each, BoundedProtocol))
            min((each for each in found if each.waits), key=lambda each: each.waits_since).close()

    def data_received(self, data: bytes) -> None:
        if self._deadline is None:
            self._require_request()
        try:
            super().data_received(data)
        except h11.ProtocolError as error:
            # The sender broke the protocol after the answer had begun: no answer is possible.
            self._note(str(error))
            self.close()
        if self.conn.their_state not in _INCOMPLETE:
            self._cancel_deadline()

    def send_400_response(self, msg: str) -> None:
        """Answer an invalid request, unless its answer has begun already."""
        # The library calls this when it handles the error.
        self._note(str(sys.exc_info()[1] or msg))
        if self.cycle is not None:
            # Code that still works on the request must not send a second answer.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            super().send_400_response(msg)
        else:
            self.close()

    def on_response_complete(self) -> None:
        self.waits_since = self.loop.time()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_deadline()
        super().connection_lost(exc)

    def close(self) -> None:
        """Close the connection without an answer."""
        # Now, because the transport reports its end only in the loop's next round.
        self.connections.discard(self)
        self.transport.abort()

    @property
    def waits(self) -> bool:
        """Whether it waits for a request or for the rest of one."""
        is_answering = self.cycle is not None and not self.cycle.response_complete
        return not is_answering or self.conn.their_state in _INCOMPLETE

    def _note(self, reason: str) -> None:
        self.invalid_requests.note("?" if self.client is None else self.client[0], reason)

    def _require_request(self) -> None:
        self._deadline = self.loop.call_later(REQUEST_SECONDS, self.close)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
