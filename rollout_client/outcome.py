"""An outcome: the result of one job, checked when it is reported."""

from dataclasses import dataclass
from datetime import timedelta
from math import inf
from typing import Final, TypeGuard

_LONGEST_PROCESSOR: Final = 50
_LONGEST_ERROR: Final = 1000


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one job."""

    feature: str
    repository_id: str
    processor: str
    succeeded: bool
    seconds: float | None = None
    error: str | None = None

    @classmethod
    def checked(
        cls,
        feature: object,
        repository_id: str,
        processor: object,
        *,
        succeeded: object,
        seconds: object = None,
        error: object = None,
    ) -> "Outcome":
        """Return an outcome that the database accepts.

        Raises:
            ValueError: A name, the time or `succeeded` cannot be recorded.
        """
        if not (_is_text(processor) and 1 <= len(processor) <= _LONGEST_PROCESSOR):
            raise ValueError("processor has to be a text of 1 to 50 printable characters")
        if not _is_text(feature):
            raise ValueError("feature has to be a text of printable characters")
        return cls(
            feature,
            repository_id,
            processor,
            _truth(succeeded),
            None if seconds is None else _seconds(seconds),
            None if error is None else _cut(error),
        )


def _is_text(value: object) -> TypeGuard[str]:
    """Return whether the database can hold a value as a text."""
    return isinstance(value, str) and value.isprintable()


def _truth(value: object) -> bool:
    # The "true" of a numeric library equals 1, but is not the bool that a driver needs.
    if isinstance(value, bool) or (not isinstance(value, str) and _equals_one_of(value)):
        return bool(value)
    raise ValueError(
        f"succeeded is a {type(value).__name__}: it has to be True or False; write bool(...)"
    )


def _equals_one_of(value: object) -> bool:
    try:
        return bool(value == 0) or bool(value == 1)
    except Exception:  # noqa: BLE001 - anything may be handed over, and compare as it likes
        return False


def _seconds(value: object) -> float:
    if isinstance(value, timedelta):
        value = value.total_seconds()
    try:
        seconds = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        seconds = -inf
    if not 0 <= seconds < inf:
        raise ValueError(f"seconds is {value!r:.40}: it has to be a time from 0")
    return seconds


def _cut(error: object) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - an exception of a service may not even have a text
        text = type(error).__name__
    return text[:_LONGEST_ERROR].replace("\0", " ").encode("utf-8", "replace").decode()
