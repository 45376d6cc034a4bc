"""The state of one feature, as it is live or as an apply would make it.

Names in the lists are keys: a repository id, an `owner/name` that no repository has yet, or `owner/*`,
all lower case.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from enum import Enum, StrEnum, auto
from typing import Any, Final, Self

from reconciler.planning.history import Action
from reconciler.rollout_file.durations import format_duration, parse_duration
from reconciler.targeting.eligibility import Targeting
from reconciler.targeting.strategy import Strategy
from reconciler.wording import show_number


class Direction(Enum):
    """What a change of one field does to the audience."""

    NARROWS = auto()
    WIDENS = auto()
    NEITHER = auto()
    """It has nothing to do with who is in."""
    BY_AUDIENCE = auto()
    """Only the two sets of eligible repositories tell."""


def of_percentage(before: Decimal, after: Decimal) -> Direction:
    """A lower percentage narrows."""
    return Direction.NARROWS if after < before else Direction.WIDENS


def of_activity(before: bool, after: bool) -> Direction:  # noqa: FBT001 - the field's own values
    """Turning a feature off narrows."""
    return Direction.NARROWS if before and not after else Direction.WIDENS


def of_stop(before: bool, after: bool) -> Direction:  # noqa: FBT001 - the field's own values
    """Stopping narrows."""
    return Direction.NARROWS if after and not before else Direction.WIDENS


def of_audience(before: object, after: object) -> Direction:  # noqa: ARG001 - as the others
    """Return that only the sets tell: another strategy or salt draws another audience."""
    return Direction.BY_AUDIENCE


def of_nothing(before: object, after: object) -> Direction:  # noqa: ARG001 - as the others
    """Return that a field has no direction."""
    return Direction.NEITHER


@dataclass(frozen=True, slots=True)
class Exposure:
    """How far a feature is open: what people, overrides and the safeguard move at once."""

    active: bool
    emergency_stop: bool
    percentage: Decimal


@dataclass(frozen=True, slots=True)
class Configuration:
    """One row of `rollout_configuration`, as values."""

    active: bool
    emergency_stop: bool
    strategy: Strategy
    percentage: Decimal
    salt: str
    whitelist: frozenset[str]
    exclusions: frozenset[str]
    max_error_rate: Decimal
    min_jobs: int
    window: timedelta
    auto_rollback: bool
    rollback_to: Decimal
    description: str | None

    @property
    def exposure(self) -> Exposure:
        """The part that says how far the feature is open."""
        return Exposure(self.active, self.emergency_stop, self.percentage)

    @property
    def targeting(self) -> Targeting:
        """The part that says who is in."""
        return Targeting(
            active=self.active,
            emergency_stop=self.emergency_stop,
            strategy=self.strategy,
            percentage=self.percentage,
            salt=self.salt,
            whitelist=self.whitelist,
            exclusions=self.exclusions,
        )

    def deactivated(self) -> Self:
        """Return this state for a feature that the file no longer has: kept, but nobody is in."""
        return replace(self, active=False)


@dataclass(frozen=True, slots=True)
class ScalarField:
    """A field with one value."""

    name: str
    """Its key in the file and in a plan."""
    column: str
    """Where it is live."""
    direction: Callable[[Any, Any], Direction]
    """What a change from one value to another does to the audience."""
    read: Callable[[Configuration], Any]
    action: Callable[[Any], Action]
    """What history calls a change to the value given."""
    show: Callable[[Any], str]
    """The value as people write it."""


@dataclass(frozen=True, slots=True)
class ListField:
    """A field with entries, each of which is added or removed by itself."""

    name: str
    column: str
    adding: Direction
    """What an entry more does to the audience; an entry less does the opposite."""
    read: Callable[[Configuration], frozenset[str]]
    added: Action
    removed: Action


def _show_percentage(value: Decimal) -> str:
    return show_number(value)


def _show_switch(value: bool) -> str:  # noqa: FBT001 - the value itself is what is shown
    return "on" if value else "off"


def _show_text(value: str | None) -> str:
    return value or "(none)"


def _show_duration(value: timedelta) -> str:
    return format_duration(value)


def _always(action: Action) -> Callable[[Any], Action]:
    return lambda _after: action


SCALAR_FIELDS: Final = (
    ScalarField(
        "active",
        column="is_active",
        direction=of_activity,
        read=lambda configuration: configuration.active,
        action=lambda after: Action.REACTIVATED if after else Action.DEACTIVATED,
        show=_show_switch,
    ),
    ScalarField(
        "emergency_stop",
        column="emergency_stop",
        direction=of_stop,
        read=lambda configuration: configuration.emergency_stop,
        action=lambda after: Action.EMERGENCY_STOP if after else Action.RESUMED,
        show=_show_switch,
    ),
    ScalarField(
        "strategy",
        column="rollout_strategy",
        direction=of_audience,
        read=lambda configuration: configuration.strategy,
        action=_always(Action.STRATEGY_CHANGED),
        show=str,
    ),
    ScalarField(
        "percentage",
        column="rollout_percentage",
        direction=of_percentage,
        read=lambda configuration: configuration.percentage,
        action=_always(Action.PERCENTAGE_CHANGED),
        show=_show_percentage,
    ),
    ScalarField(
        "salt",
        column="salt",
        direction=of_audience,
        read=lambda configuration: configuration.salt,
        action=_always(Action.UPDATED),
        show=str,
    ),
    ScalarField(
        "max_error_rate",
        column="max_error_rate",
        direction=of_nothing,
        read=lambda configuration: configuration.max_error_rate,
        action=_always(Action.HEALTH_CHANGED),
        show=_show_percentage,
    ),
    ScalarField(
        "min_jobs",
        column="min_jobs",
        direction=of_nothing,
        read=lambda configuration: configuration.min_jobs,
        action=_always(Action.HEALTH_CHANGED),
        show=show_number,
    ),
    ScalarField(
        "window",
        column="monitoring_window",
        direction=of_nothing,
        read=lambda configuration: configuration.window,
        action=_always(Action.HEALTH_CHANGED),
        show=_show_duration,
    ),
    ScalarField(
        "auto_rollback",
        column="auto_rollback_enabled",
        direction=of_nothing,
        read=lambda configuration: configuration.auto_rollback,
        action=_always(Action.HEALTH_CHANGED),
        show=_show_switch,
    ),
    ScalarField(
        "rollback_to",
        column="rollback_to",
        direction=of_nothing,
        read=lambda configuration: configuration.rollback_to,
        action=_always(Action.HEALTH_CHANGED),
        show=_show_percentage,
    ),
    ScalarField(
        "description",
        column="description",
        direction=of_nothing,
        read=lambda configuration: configuration.description,
        action=_always(Action.UPDATED),
        show=_show_text,
    ),
)

LIST_FIELDS: Final = (
    ListField(
        "whitelist",
        column="target_repositories",
        adding=Direction.WIDENS,
        read=lambda configuration: configuration.whitelist,
        added=Action.WHITELIST_ADDED,
        removed=Action.WHITELIST_REMOVED,
    ),
    ListField(
        "exclusions",
        column="excluded_repositories",
        adding=Direction.NARROWS,
        read=lambda configuration: configuration.exclusions,
        added=Action.EXCLUSION_ADDED,
        removed=Action.EXCLUSION_REMOVED,
    ),
)


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


def to_state(configuration: Configuration) -> dict[str, Any]:
    """Return a configuration by the names of its fields; lists are sorted."""
    return {
        **{field.name: plain(field.read(configuration)) for field in SCALAR_FIELDS},
        **{field.name: sorted(field.read(configuration)) for field in LIST_FIELDS},
    }


def from_state(state: Mapping[str, Any]) -> Configuration:
    """Return the configuration that `to_state` made this of."""
    return Configuration(
        active=state["active"],
        emergency_stop=state["emergency_stop"],
        strategy=Strategy(state["strategy"]),
        percentage=Decimal(str(state["percentage"])),
        salt=state["salt"],
        whitelist=frozenset(state["whitelist"]),
        exclusions=frozenset(state["exclusions"]),
        max_error_rate=Decimal(str(state["max_error_rate"])),
        min_jobs=state["min_jobs"],
        window=parse_duration(state["window"]),
        auto_rollback=state["auto_rollback"],
        rollback_to=Decimal(str(state["rollback_to"])),
        description=state["description"],
    )
