"""Actions on one feature: read its state, and write the result of an action.

Works without a file. Lists are neither read nor written, so a stop does not wait for a long
whitelist.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from reconciler.database.driver import execute
from reconciler.database.history_writer import HistoryWriter
from reconciler.database.overrides import read_overrides, write_overrides
from reconciler.database.queries import queries
from reconciler.errors import NotFound
from reconciler.planning.exposure import Exposure, exposure_from_state
from reconciler.planning.field_types import plain
from reconciler.planning.history import Action, HistoryCause
from reconciler.planning.override_actions import Act, RollbackSettings, Standing, with_superseded
from reconciler.planning.overrides import OverrideState, StoredOverride, without_override
from rollout_client.targeting.strategy import Strategy

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection

_SQL = queries("override_actions")

LOCK_TIMEOUT: Final = "10s"
STATEMENT_TIMEOUT: Final = "30s"


@dataclass(frozen=True, slots=True)
class FoundFeature:
    """The state of one feature, and the safeguard's settings for it."""

    name: str
    id: UUID
    standing: Standing
    settings: RollbackSettings
    generation: int
    fallback: str
    """The processor for the jobs of repositories that are not eligible."""
    now: datetime
    """The transaction's time, by the database's clock."""


def lock_feature(connection: "AnyConnection", name: str) -> FoundFeature:
    """Return one feature, locked until the end of this transaction.

    Raises:
        NotFound: there is no such feature.
    """
    execute(
        connection,
        _SQL["limit_waiting"],
        {"lock_timeout": LOCK_TIMEOUT, "statement_timeout": STATEMENT_TIMEOUT},
    )
    execute(connection, _SQL["lock_feature"], {"feature": name})
    return read_feature(connection, name)


def read_feature(connection: "AnyConnection", name: str) -> FoundFeature:
    """Return one feature.

    Raises:
        NotFound: there is no such feature.
    """
    row = execute(connection, _SQL["feature"], {"feature": name}).one_or_none()
    if row is None:
        raise NotFound(f"no feature is called {name}")
    overrides = read_overrides(connection, name).get(row.id, ())
    live = Exposure(row.active, row.emergency_stop, row.percentage)
    applied = execute(connection, _SQL["desired"], {"feature": name}).one()
    desired = _desired(name, applied)
    if desired is None:
        desired = _before_overrides(connection, name, row.id, overrides) or live
    return FoundFeature(
        name=name,
        id=row.id,
        standing=Standing(live, desired, Strategy(row.strategy), overrides),
        settings=RollbackSettings(row.auto_rollback, row.rollback_to),
        generation=applied.generation,
        fallback=row.fallback,
        now=row.now,
    )


def write_act(
    connection: "AnyConnection",
    feature: FoundFeature,
    act: Act,
    *,
    action: Action,
    override: UUID | None,
    cause: HistoryCause,
) -> None:
    """Write the result of an action: the overrides' rows, the exposure, one row of history.

    Args:
        connection: the transaction in which the feature is locked.
        feature: the feature as it was read there.
        act: the result to write.
        action: the action's name in the history.
        override: the new override, or the one that ends.
        cause: the author and the reason.
    """
    write_overrides(connection, feature.name, act.written)
    where = {"configuration": feature.id}
    execute(
        connection,
        _SQL["expose"],
        where | {"percentage": act.after.percentage, "emergency_stop": act.after.emergency_stop},
    )
    if act.after.active != act.before.active:
        execute(connection, _SQL["activate"], where | {"active": act.after.active})
    others = [str(row.id) for row in act.written if row.id != override]
    HistoryWriter(connection, feature.generation, cause).change(
        action,
        feature=feature.name,
        details={
            "override": None if override is None else str(override),
            "before": _as_json(act.before),
            "after": _as_json(act.after),
            **({"superseded": others} if others else {}),
        },
        percentages=(act.before.percentage, act.after.percentage),
    )


def write_restored(
    connection: "AnyConnection", feature: FoundFeature, act: Act, cause: HistoryCause
) -> None:
    """Write a limit that is enforced again, with one row of history for each field, like an apply."""
    execute(
        connection,
        _SQL["expose"],
        {
            "configuration": feature.id,
            "percentage": act.after.percentage,
            "emergency_stop": act.after.emergency_stop,
        },
    )
    # Imported here: a stop does not wait for what compares lists.
    from reconciler.planning.drift import reverted

    history = HistoryWriter(connection, feature.generation, cause)
    for drift in reverted(act.before, act.after):
        history.drift(feature.name, drift)


def _desired(name: str, applied: "Any") -> Exposure | None:
    """Return the last applied state, without an override; None if no apply has the feature."""
    if applied.stored is None:
        return None
    return without_override(exposure_from_state(name, applied.stored), applied.declared)


def _before_overrides(
    connection: "AnyConnection",
    name: str,
    configuration: UUID,
    overrides: tuple[StoredOverride, ...],
) -> Exposure | None:
    on = next((row.id for row in overrides if row.state is OverrideState.ON), None)
    if on is None:
        return None
    chain = [str(each) for each in with_superseded(on, overrides)]
    parameters = {"configuration": configuration, "overrides": chain}
    before = execute(connection, _SQL["before_overrides"], parameters).scalar()
    return None if before is None else exposure_from_state(name, before)


def _as_json(exposure: Exposure) -> dict[str, Any]:
    return {
        "active": exposure.active,
        "emergency_stop": exposure.emergency_stop,
        "percentage": plain(exposure.percentage),
    }
