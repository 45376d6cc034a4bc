"""Answers of Prometheus to a query: samples, or the reason for a failure."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from reconciler.errors import Unavailable
from reconciler.rollout_file.characters import one_line

MOST: Final = 1e15
"""A larger value is not accepted as a number of jobs."""
LONGEST_MESSAGE: Final = 200
"""Characters of a message of Prometheus that are shown."""

_FORMATTING: Final = re.compile(r"[`<>@#*|~\[\]\\]")
_NOT_PROMETHEUS: Final = "the answer does not have the form of a Prometheus answer"


@dataclass(frozen=True, slots=True)
class Sample:
    """One number, from 0 to `MOST`, and its labels."""

    labels: Mapping[str, str]
    value: float


def read_samples(content: bytes) -> tuple[Sample, ...]:
    """Return the samples of an answer.

    Raises:
        Unavailable: the answer is invalid or partial, or a value is not a number of jobs.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Unavailable("the answer is not JSON") from error
    match document:
        case {"status": "error", "error": str(message)}:
            raise Unavailable(f"it reports: {in_one_line(message)}")
        case {"status": "success", "warnings": [str(warning), *_]}:
            raise Unavailable(f"it warns: {in_one_line(warning)}")
        case {"status": "success", "data": {"resultType": "scalar", "result": [_, value]}}:
            return (Sample({}, _number(value)),)
        case {"status": "success", "data": {"resultType": "vector", "result": list(vector)}}:
            return tuple(_samples(vector))
        case {"status": "success", "data": {"resultType": "matrix" | "string" as kind}}:
            raise Unavailable(f"the query returns a {kind}, not an instant vector")
        case _:
            raise Unavailable(_NOT_PROMETHEUS)


def in_one_line(message: str) -> str:
    """Return a server's message in one line, without control, formatting, link or mention characters."""
    return one_line(_FORMATTING.sub(" ", message), LONGEST_MESSAGE)


def _samples(vector: list[Any]) -> Iterator[Sample]:
    for each in vector:
        match each:
            case {"metric": dict(labels), "value": [_, value]}:
                yield Sample(
                    {str(name): str(label) for name, label in labels.items()}, _number(value)
                )
            case {"histogram": _}:
                raise Unavailable("the query returns a histogram, not a number")
            case _:
                raise Unavailable(_NOT_PROMETHEUS)


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise Unavailable(_NOT_PROMETHEUS) from error
    if not (math.isfinite(number) and 0 <= number <= MOST):
        raise Unavailable(f"the query returns {number:g}, which is not a number of jobs")
    return number
