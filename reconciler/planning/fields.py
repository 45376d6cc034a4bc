"""The managed fields: one entry says everything about one field.

Plan, history and rendering loop over these tables, so a new field is one entry here, one attribute of
`Configuration` and its SQL. A scalar field has a value; a list field has entries that come and go.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from reconciler.planning import direction
from reconciler.planning.direction import Direction
from reconciler.planning.feature_config import Configuration
from reconciler.planning.history import Action
from reconciler.rollout_file.durations import format_duration
from reconciler.wording import show_number


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
        direction=direction.of_activity,
        read=lambda configuration: configuration.active,
        action=lambda after: Action.REACTIVATED if after else Action.DEACTIVATED,
        show=_show_switch,
    ),
    ScalarField(
        "emergency_stop",
        column="emergency_stop",
        direction=direction.of_stop,
        read=lambda configuration: configuration.emergency_stop,
        action=lambda after: Action.EMERGENCY_STOP if after else Action.RESUMED,
        show=_show_switch,
    ),
    ScalarField(
        "strategy",
        column="rollout_strategy",
        direction=direction.of_audience,
        read=lambda configuration: configuration.strategy,
        action=_always(Action.STRATEGY_CHANGED),
        show=str,
    ),
    ScalarField(
        "percentage",
        column="rollout_percentage",
        direction=direction.of_percentage,
        read=lambda configuration: configuration.percentage,
        action=_always(Action.PERCENTAGE_CHANGED),
        show=_show_percentage,
    ),
    ScalarField(
        "salt",
        column="salt",
        direction=direction.of_audience,
        read=lambda configuration: configuration.salt,
        action=_always(Action.UPDATED),
        show=str,
    ),
    ScalarField(
        "max_error_rate",
        column="max_error_rate",
        direction=direction.of_nothing,
        read=lambda configuration: configuration.max_error_rate,
        action=_always(Action.HEALTH_CHANGED),
        show=_show_percentage,
    ),
    ScalarField(
        "min_jobs",
        column="min_jobs",
        direction=direction.of_nothing,
        read=lambda configuration: configuration.min_jobs,
        action=_always(Action.HEALTH_CHANGED),
        show=show_number,
    ),
    ScalarField(
        "window",
        column="monitoring_window",
        direction=direction.of_nothing,
        read=lambda configuration: configuration.window,
        action=_always(Action.HEALTH_CHANGED),
        show=_show_duration,
    ),
    ScalarField(
        "auto_rollback",
        column="auto_rollback_enabled",
        direction=direction.of_nothing,
        read=lambda configuration: configuration.auto_rollback,
        action=_always(Action.HEALTH_CHANGED),
        show=_show_switch,
    ),
    ScalarField(
        "rollback_to",
        column="rollback_to",
        direction=direction.of_nothing,
        read=lambda configuration: configuration.rollback_to,
        action=_always(Action.HEALTH_CHANGED),
        show=_show_percentage,
    ),
    ScalarField(
        "description",
        column="description",
        direction=direction.of_nothing,
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
