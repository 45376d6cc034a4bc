"""The format in which metrics are served, by the header `Accept` of the request."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

Encode = Callable[[CollectorRegistry], bytes]


def choose_exposition(accept: str | None) -> tuple[Encode, str]:
    """Return how metrics are written, and the content type; plain text for an invalid header."""
    try:
        return choose_encoder(accept or "")
    except (TypeError, ValueError):
        # The library compares a version of any text with numbers.
        return choose_encoder("")
