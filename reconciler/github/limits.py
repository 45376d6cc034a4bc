"""GitHub's rate limits: whether an answer says to wait, and for how long."""

import time
from collections.abc import Mapping
from typing import Final

from reconciler.github.transport import Answer

LONGEST_WAIT_SECONDS: Final = 3_700
"""A limit starts anew within the hour; who has to wait longer is told so instead."""
WAIT_WHERE_NONE_IS_SAID_SECONDS: Final = 60.0
"""What GitHub asks for where a secondary limit is reached and no header says more."""

_LIMITED: Final = frozenset({403, 429})
_TOO_MANY_REQUESTS: Final = 429


def pause_for_limit(answer: Answer) -> float | None:
    """Return the seconds that an answer says to wait; None where it is about no limit."""
    if answer.status not in _LIMITED:
        return None
    if (after := _number(answer.headers, "retry-after")) is not None:
        return after
    if answer.headers.get("x-ratelimit-remaining") == "0":
        reset = _number(answer.headers, "x-ratelimit-reset")
        # A second more, since clocks differ.
        return WAIT_WHERE_NONE_IS_SAID_SECONDS if reset is None else max(0, reset - time.time()) + 1
    if answer.status == _TOO_MANY_REQUESTS or "rate limit" in answer.message.lower():
        return WAIT_WHERE_NONE_IS_SAID_SECONDS
    return None


def _number(headers: Mapping[str, str], name: str) -> float | None:
    value = headers.get(name, "")
    return float(value) if value.isascii() and value.isdigit() and len(value) < 12 else None  # noqa: PLR2004
