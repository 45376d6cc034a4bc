"""The types of a managed field's values: how each is shown, read and stored."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import Enum, StrEnum, auto
from typing import TYPE_CHECKING, Any, Final

from reconciler.errors import SetupInvalid
from reconciler.planning.stored_state import unreadable
from reconciler.rollout_file.durations import format_duration, parse_duration
from reconciler.rollout_file.health_method import HealthMethod
from reconciler.wording import show_number
from rollout_client.targeting.buckets import Bucketing
from rollout_client.targeting.eligibility import folded
from rollout_client.targeting.strategy import Strategy

if TYPE_CHECKING:
    from reconciler.rollout_file.routing import RoutingRule


class Direction(Enum):
    """The effect of a change of one field on the audience."""

    NARROWS = auto()
    WIDENS = auto()
    NEITHER = auto()
    """It does not change which repositories are eligible."""
    BY_AUDIENCE = auto()
    """Only a comparison of the two sets of eligible repositories shows it."""


@dataclass(frozen=True, slots=True)
class ValueType:
    """A type of values: how to print it, read it from JSON or a row, and write it as a SQL parameter."""

    show: Callable[[Any], str] = str
    from_json: Callable[[Any], Any] = lambda value: value
    from_column: Callable[[Any], Any] = lambda value: value
    to_column: Callable[[Any], Any] = lambda value: value

    def from_stored(self, place: str, value: Any) -> Any:
        """Return a value of a stored generation, which another release may have written.

        Raises:
            SetupInvalid: this release cannot read it.
        """
        try:
            return self.from_json(value)
        except (ValueError, TypeError, ArithmeticError) as error:
            raise unreadable(f"{place} {json.dumps(value)[:60]}") from error


def _keys(entries: Iterable[str | None]) -> frozenset[str]:
    """Return an array's entries as keys, without spaces, capitals or nulls of SQL by hand."""
    return frozenset(folded(entry.strip(" ")) for entry in entries if entry is not None)


SWITCH: Final = ValueType(show=lambda value: "on" if value else "off")
PERCENTAGE: Final = ValueType(show=show_number, from_json=lambda value: Decimal(str(value)))
NUMBER: Final = ValueType(show=show_number)
DURATION: Final = ValueType(show=format_duration, from_json=parse_duration)
TEXT: Final = ValueType(show=lambda value: value or "(none)")
STRATEGY: Final = ValueType(
    from_json=Strategy, from_column=Strategy, to_column=lambda value: value.value
)
BUCKETING: Final = ValueType(
    from_json=Bucketing, from_column=Bucketing, to_column=lambda value: value.value
)
METHOD: Final = ValueType(
    from_json=HealthMethod, from_column=HealthMethod, to_column=lambda value: value.value
)
OPTIONAL_PERCENTAGE: Final = ValueType(
    show=lambda value: "(none)" if value is None else show_number(value),
    from_json=lambda value: None if value is None else Decimal(str(value)),
)


def _rules(rules: Iterable[Any]) -> "tuple[RoutingRule, ...]":
    # Imported here: a stop reads no rules.
    from reconciler.rollout_file.routing import RoutingRule

    return tuple(map(RoutingRule.model_validate, rules))


def _rules_of_column(rules: Iterable[Any]) -> "tuple[RoutingRule, ...]":
    from pydantic import ValidationError

    try:
        return _rules(rules)
    except ValidationError as error:
        raise SetupInvalid(
            "public.rollout_configuration: a rule in routing cannot be read: "
            f"{error.errors()[0]['msg']}; set routing to '[]' by SQL, and apply the file"
        ) from error


def rules_as_json(rules: "Iterable[RoutingRule]") -> list[dict[str, Any]]:
    """Return rules as JSON has them: as in the file, without defaults."""
    return [each.model_dump(mode="json", exclude_defaults=True) for each in rules]


ROUTING: Final = ValueType(
    show=lambda value: " | ".join(each.summary for each in value) or "(none)",
    from_json=_rules,
    from_column=_rules_of_column,
    to_column=lambda value: json.dumps(rules_as_json(value)),
)
ENTRIES: Final = ValueType(from_json=frozenset, from_column=_keys, to_column=sorted)


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
        case tuple():
            return rules_as_json(value)
        case str() | bool() | int() | None:
            return value
        case _:
            raise TypeError(f"no field has a {type(value).__name__}")
