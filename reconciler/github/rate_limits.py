"""GitHub's rate limits: whether an answer asks to wait, and how long."""

import time
from collections.abc import Mapping
from typing import Final

from reconciler.github.transport import Answer

LONGEST_WAIT_SECONDS: Final = 3_700
"""A limit is reset within an hour; a longer wait is reported as a failure instead."""
DEFAULT_WAIT_SECONDS: Final = 60.0
"""The wait for a secondary limit without a header, by GitHub's documentation."""

_LIMITED: Final = frozenset({403, 429})
_TOO_MANY_REQUESTS: Final = 429


def rate_limit_seconds(answer: Answer) -> float | None:
    """Return the seconds to wait for a rate limit; None if the answer does not report one."""
    if answer.status not in _LIMITED:
        return None
    if (after := _number(answer.headers, "retry-after")) is not None:
        return after
    if answer.headers.get("x-ratelimit-remaining") == "0":
        reset = _number(answer.headers, "x-ratelimit-reset")
        # One second more, since clocks differ.
        return DEFAULT_WAIT_SECONDS if reset is None else max(0, reset - time.time()) + 1
    if answer.status == _TOO_MANY_REQUESTS or "rate limit" in answer.message.lower():
        return DEFAULT_WAIT_SECONDS
    return None


def _number(headers: Mapping[str, str], name: str) -> float | None:
    value = headers.get(name, "")
    return float(value) if value.isascii() and value.isdigit() and len(value) < 12 else None  # noqa: PLR2004
