"""What Prometheus answers to a query: numbers with labels, or why there is none."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from reconciler.errors import Unavailable
from reconciler.rollout_file.characters import one_line

MOST: Final = 1e15
"""More jobs than this are no number of jobs."""
LONGEST_MESSAGE: Final = 200
"""Of what Prometheus says, so much is told."""

_FORMATTING: Final = re.compile(r"[`<>@#*|~\[\]\\]")
_NOT_ITS_OWN: Final = "the answer is not one that Prometheus gives"


@dataclass(frozen=True, slots=True)
class Sample:
    """One number, from 0 to `MOST`, and its labels."""

    labels: Mapping[str, str]
    value: float


def read_samples(content: bytes) -> tuple[Sample, ...]:
    """Return the numbers of an answer.

    Raises:
        Unavailable: it has none, only a part, or what counts no jobs; the message says which.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Unavailable("the answer is no JSON") from error
    match document:
        case {"status": "error", "error": str(message)}:
            raise Unavailable(f"it says: {told(message)}")
        case {"status": "success", "warnings": [str(warning), *_]}:
            raise Unavailable(f"it warns: {told(warning)}")
        case {"status": "success", "data": {"resultType": "scalar", "result": [_, value]}}:
            return (Sample({}, _number(value)),)
        case {"status": "success", "data": {"resultType": "vector", "result": list(vector)}}:
            return tuple(_samples(vector))
        case {"status": "success", "data": {"resultType": "matrix" | "string" as kind}}:
            raise Unavailable(f"the query gives a {kind}, not an instant vector")
        case _:
            raise Unavailable(_NOT_ITS_OWN)


def told(message: str) -> str:
    """Return what a server says in one line, with nothing that acts, formats, links or mentions."""
    return one_line(_FORMATTING.sub(" ", message), LONGEST_MESSAGE)


def _samples(vector: list[Any]) -> Iterator[Sample]:
    for each in vector:
        match each:
            case {"metric": dict(labels), "value": [_, value]}:
                yield Sample(
                    {str(name): str(label) for name, label in labels.items()}, _number(value)
                )
            case {"histogram": _}:
                raise Unavailable("the query gives a histogram, not a number")
            case _:
                raise Unavailable(_NOT_ITS_OWN)


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise Unavailable(_NOT_ITS_OWN) from error
    if not (math.isfinite(number) and 0 <= number <= MOST):
        raise Unavailable(f"the query gives {number:g}, which is no number of jobs")
    return number
