"""Answers of GraphQL: they report a rate limit or a server error with status 200."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from reconciler.github.transport import Answer

_OK: Final = 200
_TOO_MANY_REQUESTS: Final = 429
_BAD_GATEWAY: Final = 502
_LIMITS: Final = frozenset({"RATE_LIMITED", "RATE_LIMIT"})


def with_rest_status(answer: Answer) -> Answer:
    """Return an answer with the status that the REST API gives for a rate limit or a server error."""
    if answer.status != _OK:
        return answer
    errors = _errors(answer)
    if any(_is_limit(each) for each in errors):
        return replace(answer, status=_TOO_MANY_REQUESTS)
    if any(_is_failure(each) for each in errors):
        return replace(answer, status=_BAD_GATEWAY)
    return answer


def _errors(answer: Answer) -> list[Mapping[str, Any]]:
    try:
        said = json.loads(answer.content)
    except (ValueError, RecursionError):
        return []
    errors = said.get("errors") if isinstance(said, dict) else None
    return [each for each in errors if isinstance(each, dict)] if isinstance(errors, list) else []


def _is_limit(error: Mapping[str, Any]) -> bool:
    return error.get("type") in _LIMITS or "rate limit" in str(error.get("message")).lower()


def _is_failure(error: Mapping[str, Any]) -> bool:
    """Return whether a query took too long or failed in GitHub: such an error has no type."""
    return "type" not in error and str(error.get("message")).startswith("Something went wrong")
