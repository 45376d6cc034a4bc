"""A field's value as JSON has it, the one way for history, generations and plans."""

from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from reconciler.rollout_file.durations import format_duration

Plain = str | int | float | bool | None


def plain(value: Any) -> Any:
    """Return a value as JSON has it.

    Whole numbers are without a point, durations as the file writes them, lists sorted.

    Raises:
        TypeError: no field has such a value.
    """
    match value:
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case timedelta():
            return format_duration(value)
        case StrEnum():
            return value.value
        case frozenset():
            return sorted(value)
        case str() | bool() | int() | None:
            return value
        case _:
            raise TypeError(f"no field has a {type(value).__name__}")
