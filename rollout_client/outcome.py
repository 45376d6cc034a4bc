"""An outcome: the result of one job, checked when it is reported."""

from dataclasses import dataclass
from datetime import timedelta
from math import inf
from typing import Final, TypeGuard

from rollout_client.route import Job

_LONGEST_PROCESSOR: Final = 50
_LONGEST_ERROR: Final = 1000
_LONGEST_KIND: Final = 50
_LARGEST_SIZE: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one job."""

    feature: str
    repository_id: str
    processor: str
    succeeded: bool
    seconds: float | None = None
    error: str | None = None
    kind: str | None = None
    """The kind of job; None if it was not given."""
    size: int | None = None
    """The size of the job; None if it was not given."""

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
            raise ValueError("processor must be a text of 1 to 50 printable characters")
        name = feature.feature if isinstance(feature, Job) else feature
        if not _is_text(name):
            raise ValueError("feature must be a text of printable characters")
        job = feature if isinstance(feature, Job) else Job(name)
        kind, size = _kind_and_size(job)
        return cls(
            name,
            repository_id,
            processor,
            _truth(succeeded),
            None if seconds is None else _seconds(seconds),
            None if error is None else _cut(error),
            kind,
            size,
        )


def _kind_and_size(job: Job) -> tuple[str | None, int | None]:
    """Return kind and size; the defaults of a job mean that it has none."""
    kind: object = job.kind
    size: object = job.size
    if not (_is_text(kind) and len(kind) <= _LONGEST_KIND):
        raise ValueError("the kind of a job must be a text of at most 50 printable characters")
    if not isinstance(size, int) or not 0 <= size <= _LARGEST_SIZE:
        raise ValueError(f"the size of a job is {size!r:.40}: it must be a whole number from 0")
    return kind or None, int(size) or None


def _is_text(value: object) -> TypeGuard[str]:
    """Return whether the database can hold a value as a text."""
    return isinstance(value, str) and value.isprintable()


def _truth(value: object) -> bool:
    # The "true" of a numeric library equals 1, but is not the bool that a driver needs.
    if isinstance(value, bool) or (not isinstance(value, str) and _equals_one_of(value)):
        return bool(value)
    raise ValueError(
        f"succeeded is a {type(value).__name__}: it must be True or False; write bool(...)"
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
        raise ValueError(f"seconds is {value!r:.40}: it must be a time from 0")
    return seconds


def _cut(error: object) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - an exception of a service may not even have a text
        text = type(error).__name__
    return text[:_LONGEST_ERROR].replace("\0", " ").encode("utf-8", "replace").decode()
