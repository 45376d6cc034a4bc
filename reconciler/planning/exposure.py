"""The part of a feature's configuration that a limit changes at once, and the limit."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from reconciler.planning.field_types import PERCENTAGE, SWITCH


@dataclass(frozen=True, slots=True)
class Exposure:
    """The part of a configuration that overrides and the safeguard change at once."""

    active: bool
    emergency_stop: bool
    percentage: Decimal


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit of a feature: a percentage; None is a stop."""

    percentage: Decimal | None


_STORED: Final = {
    "active": (SWITCH, True),
    "emergency_stop": (SWITCH, False),
    "percentage": (PERCENTAGE, 0),
}
"""By the names of a stored state: the type, and the meaning of an absent key; the same as in `FIELDS`."""


def exposure_from_state(name: str, state: Mapping[str, Any]) -> Exposure:
    """Return a feature's exposure in a stored state; an absent key has its field's default.

    Raises:
        SetupInvalid: a newer release stored a value that this release cannot read.
    """
    return Exposure(
        **{
            key: each.from_stored(f"{name}: {key}", state.get(key, default))
            for key, (each, default) in _STORED.items()
        }
    )
