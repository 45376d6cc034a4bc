"""WSGI: outcomes are written after each response, since a server may end a worker at any time.

application = RolloutMiddleware(application, client)
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from rollout_client.client import RolloutClient

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
_FLUSH_SECONDS = 1.0


class RolloutMiddleware:
    """An application whose outcomes are written once a response has been sent."""

    def __init__(self, application: Application, client: RolloutClient) -> None:
        self._application = application
        self._client = client

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer a request; the server closes what is returned when the response has been sent."""
        return _Response(self._application(environ, start_response), self._client)


class _Response:
    def __init__(self, parts: Iterable[bytes], client: RolloutClient) -> None:
        self._parts = parts
        self._client = client

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._parts)

    def close(self) -> None:
        try:
            close = getattr(self._parts, "close", None)
            if close is not None:
                close()
        finally:
            self._client.flush(_FLUSH_SECONDS)
