"""One feature's configuration, and the table of its managed fields.

Reading, comparing, storing and printing a configuration all loop over `FIELDS`. A new field is one
attribute of `Configuration`, one entry of the table, and its SQL. Entries of lists are keys: a
repository id, an `owner/name` without a known repository, or `owner/*`, all in lower case.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from operator import attrgetter
from typing import Any, Final, Self

from reconciler.planning.exposure import Exposure
from reconciler.planning.field_types import (
    BUCKETING,
    DURATION,
    ENTRIES,
    METHOD,
    NUMBER,
    OPTIONAL_PERCENTAGE,
    PERCENTAGE,
    ROUTING,
    STRATEGY,
    SWITCH,
    TEXT,
    Direction,
    ValueType,
    plain,
)
from reconciler.planning.history import Action
from reconciler.rollout_file.health_method import HealthMethod
from reconciler.rollout_file.model import Feature
from reconciler.rollout_file.routing import RoutingRule
from rollout_client.targeting.buckets import Bucketing
from rollout_client.targeting.eligibility import Targeting
from rollout_client.targeting.strategy import Strategy

Plain = str | int | float | bool | list[dict[str, Any]] | None


@dataclass(frozen=True, slots=True)
class Configuration:
    """One row of `rollout_configuration`, as values."""

    active: bool
    emergency_stop: bool
    strategy: Strategy
    percentage: Decimal
    salt: str
    bucketing: Bucketing
    whitelist: frozenset[str]
    exclusions: frozenset[str]
    processor: str
    fallback: str
    routing: tuple[RoutingRule, ...]
    method: HealthMethod
    max_error_rate: Decimal
    max_regression: Decimal
    max_slowdown: Decimal | None
    false_alarms: Decimal
    min_jobs: int
    window: timedelta
    auto_rollback: bool
    rollback_to: Decimal
    description: str | None

    @property
    def exposure(self) -> Exposure:
        """The part that overrides and the safeguard change at once."""
        return Exposure(self.active, self.emergency_stop, self.percentage)

    @property
    def targeting(self) -> Targeting:
        """The part that decides which repositories are eligible."""
        return Targeting(
            active=self.active,
            emergency_stop=self.emergency_stop,
            strategy=self.strategy,
            percentage=self.percentage,
            salt=self.salt,
            bucketing=self.bucketing,
            whitelist=self.whitelist,
            exclusions=self.exclusions,
        )

    def deactivated(self) -> Self:
        """Return this configuration as inactive, for a feature that the file no longer has."""
        return replace(self, active=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    """The part that every managed field has."""

    name: str
    """Its attribute of `Configuration`, and its name in a plan, in stored states and in SQL parameters."""
    column: str
    """Its column in the query `configurations`; drift and history use this name too."""
    type: ValueType
    declared_at: str | None
    """Its place in the model of the file; None for a field that only overrides set."""
    unset: Callable[[str], Any] = lambda _name: None
    """The value for an absent key without a default in the model; from the feature's name."""

    def read(self, configuration: Configuration) -> Any:
        """Return the field's value."""
        return getattr(configuration, self.name)

    def declared(self, name: str, feature: Feature) -> Any:
        """Return the value that a feature's part of the file declares, or the default."""
        value = None if self.declared_at is None else attrgetter(self.declared_at)(feature)
        if value is None:
            return self.unset(name)
        # Entries of a list become keys later, when their meaning is known.
        return frozenset(value) if self.type is ENTRIES else value

    def default(self, name: str) -> Any:
        """Return the value of the field for a feature with an empty part of the file."""
        return self.declared(name, _EMPTY)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalarField(_Field):
    """A field with one value."""

    direction: Callable[[Any, Any], Direction]
    """The effect of a change from one value to another on the audience."""
    action: Callable[[Any], Action]
    """The action in the history for a change to the given value."""
    is_quiet_at_default: bool = False
    """Whether a plan lists it for a new feature only if it differs from the default.

    So a plan that an earlier release saved stays valid.
    """

    def show(self, value: Any) -> str:
        """Return a value as people write it."""
        return self.type.show(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListField(_Field):
    """A field with entries; each entry is added or removed by itself."""

    adding: Direction
    """The effect of one more entry on the audience; one less has the opposite effect."""
    added: Action
    removed: Action


_EMPTY: Final = Feature()
_NAME: Final = ValueType()


def _narrows_where(narrows: Callable[[Any, Any], bool]) -> Callable[[Any, Any], Direction]:
    return lambda before, after: Direction.NARROWS if narrows(before, after) else Direction.WIDENS


def _always(value: Any) -> Callable[..., Any]:
    return lambda *_: value


def _health(
    name: str, column: str, value_type: ValueType, *, is_quiet_at_default: bool = False
) -> ScalarField:
    return ScalarField(
        is_quiet_at_default=is_quiet_at_default,
        name=name,
        column=column,
        type=value_type,
        declared_at=f"health.{name}",
        direction=_always(Direction.NEITHER),
        action=_always(Action.HEALTH_CHANGED),
    )


def _processor(
    name: str, value_type: ValueType = _NAME, action: Action = Action.HEALTH_CHANGED
) -> ScalarField:
    return ScalarField(
        is_quiet_at_default=True,
        name=name,
        column=name,
        type=value_type,
        declared_at=name,
        direction=_always(Direction.NEITHER),
        action=_always(action),
    )


SCALAR_FIELDS: Final = (
    ScalarField(
        name="active",
        column="is_active",
        type=SWITCH,
        declared_at="active",
        direction=_narrows_where(lambda before, after: before and not after),
        action=lambda after: Action.REACTIVATED if after else Action.DEACTIVATED,
    ),
    ScalarField(
        name="emergency_stop",
        column="emergency_stop",
        type=SWITCH,
        declared_at=None,
        unset=lambda _name: False,
        direction=_narrows_where(lambda before, after: after and not before),
        action=lambda after: Action.EMERGENCY_STOP if after else Action.RESUMED,
    ),
    ScalarField(
        name="strategy",
        column="rollout_strategy",
        type=STRATEGY,
        declared_at="strategy",
        direction=_always(Direction.BY_AUDIENCE),
        action=_always(Action.STRATEGY_CHANGED),
    ),
    ScalarField(
        name="percentage",
        column="rollout_percentage",
        type=PERCENTAGE,
        declared_at="percentage",
        direction=_narrows_where(lambda before, after: after < before),
        action=_always(Action.PERCENTAGE_CHANGED),
    ),
    ScalarField(
        name="salt",
        column="salt",
        type=ValueType(),
        declared_at="salt",
        unset=lambda name: name,
        direction=_always(Direction.BY_AUDIENCE),
        action=_always(Action.UPDATED),
    ),
    ScalarField(
        name="bucketing",
        column="bucketing",
        type=BUCKETING,
        declared_at="bucketing",
        direction=_always(Direction.BY_AUDIENCE),
        action=_always(Action.UPDATED),
    ),
    _processor("processor"),
    _processor("fallback"),
    _processor("routing", ROUTING, Action.UPDATED),
    _health("method", "health_method", METHOD, is_quiet_at_default=True),
    _health("max_error_rate", "max_error_rate", PERCENTAGE),
    _health("max_regression", "max_regression", PERCENTAGE, is_quiet_at_default=True),
    _health("max_slowdown", "max_slowdown", OPTIONAL_PERCENTAGE, is_quiet_at_default=True),
    _health("false_alarms", "false_alarms", PERCENTAGE, is_quiet_at_default=True),
    _health("min_jobs", "min_jobs", NUMBER),
    _health("window", "monitoring_window", DURATION),
    _health("auto_rollback", "auto_rollback_enabled", SWITCH),
    _health("rollback_to", "rollback_to", PERCENTAGE),
    ScalarField(
        name="description",
        column="description",
        type=TEXT,
        declared_at="description",
        direction=_always(Direction.NEITHER),
        action=_always(Action.UPDATED),
    ),
)

LIST_FIELDS: Final = (
    ListField(
        name="whitelist",
        column="target_repositories",
        type=ENTRIES,
        declared_at="whitelist",
        adding=Direction.WIDENS,
        added=Action.WHITELIST_ADDED,
        removed=Action.WHITELIST_REMOVED,
    ),
    ListField(
        name="exclusions",
        column="excluded_repositories",
        type=ENTRIES,
        declared_at="exclusions",
        adding=Direction.NARROWS,
        added=Action.EXCLUSION_ADDED,
        removed=Action.EXCLUSION_REMOVED,
    ),
)

FIELDS: Final = (*SCALAR_FIELDS, *LIST_FIELDS)

_BY_NAME: Final = {field.name: field for field in FIELDS}


def configuration_from_row(row: Mapping[Any, Any]) -> Configuration:
    """Return the configuration of a row of the query `configurations`."""
    return Configuration(
        **{field.name: field.type.from_column(row[field.column]) for field in FIELDS}
    )


def to_parameters(configuration: Configuration) -> dict[str, Any]:
    """Return a configuration as the parameters of SQL, by the names of its fields; lists are sorted."""
    return {field.name: field.type.to_column(field.read(configuration)) for field in FIELDS}


def to_state(configuration: Configuration) -> dict[str, Any]:
    """Return a configuration as JSON, by the names of its fields; lists are sorted."""
    return {field.name: plain(field.read(configuration)) for field in FIELDS}


def from_state(name: str, state: Mapping[str, Any]) -> Configuration:
    """Return the configuration of a stored state; a key that an older release lacked has its default.

    Raises:
        SetupInvalid: a newer release stored a value that this release cannot read.
    """
    return Configuration(**_values(name, state, (field.name for field in FIELDS)))


def _values(name: str, state: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    found = (_BY_NAME[each] for each in names)
    return {
        each.name: each.type.from_stored(
            f"{name}: {each.declared_at}", state.get(each.name, plain(each.default(name)))
        )
        for each in found
    }
