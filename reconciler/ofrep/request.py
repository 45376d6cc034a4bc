"""Reading a request: a body from any sender, of bounded size, within a time."""

import asyncio
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

from starlette.requests import Request

from rollout_client.openfeature.evaluation import ErrorCode, EvaluationRefused, repository_named

MAX_BODY_BYTES: Final = 65_536
BODY_TIMEOUT_SECONDS: Final = 10.0
PARSE_ERROR: Final = "PARSE_ERROR"
"""OpenFeature's name for a body that cannot be read."""


class RequestRefused(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: HTTPStatus, details: str, code: str | None = None) -> None:
        """`code` is OpenFeature's, if the status has one; `details` a sentence."""
        self.status = status
        self.details = details
        self.code = code
        super().__init__(details)


async def read_repository(request: Request) -> str | UUID | None:
    """Return the repository that the body's context names; None if it names none.

    Raises:
        RequestRefused: The body is too large, too slow, not JSON, or has no context.
        starlette.requests.ClientDisconnect: The sender closed the connection.
    """
    context = _context(await _read_body(request))
    try:
        return repository_named(context.get("targetingKey"), context)
    except EvaluationRefused as error:
        raise _bad(error.code, str(error)) from None


async def _read_body(request: Request) -> bytes:
    body, size = bytearray(), 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_SECONDS):
            # Read to its end, but not kept: a client that is still sending would not read the refusal.
            async for part in request.stream():
                size += len(part)
                if size <= MAX_BODY_BYTES:
                    body += part
    except TimeoutError:
        raise _bad(
            PARSE_ERROR, f"the body did not come within {BODY_TIMEOUT_SECONDS:g} seconds"
        ) from None
    if size > MAX_BODY_BYTES:
        raise _bad(PARSE_ERROR, f"the body is over {MAX_BODY_BYTES} bytes")
    return bytes(body)


def _context(body: bytes) -> Mapping[str, Any]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        raise _bad(PARSE_ERROR, "the body is not JSON") from None
    context = said.get("context") if isinstance(said, dict) else None
    if not isinstance(context, dict):
        raise _bad(ErrorCode.INVALID_CONTEXT, "the body has no object named context")
    return context


def _bad(code: str, details: str) -> RequestRefused:
    return RequestRefused(HTTPStatus.BAD_REQUEST, details, code)
