"""Choosing the cheapest processor for the rules that ask for it, from the jobs of the last seven days."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from reconciler.database.cost import (
    LockedChoices,
    lock_choices,
    read_costs,
    read_job_groups,
    write_choices,
)
from reconciler.database.freezes import read_applied_freezes
from reconciler.database.history_writer import HistoryWriter
from reconciler.database.live_state import read_configurations
from reconciler.database.overrides import read_overrides
from reconciler.database.schema import require_newest
from reconciler.database.transactions import Database, write_transaction
from reconciler.planning.cheapest import COMPARED_PERIOD, Move, cheaper_moves, with_moves
from reconciler.planning.history import Action, HistoryCause
from reconciler.planning.overrides import OverrideState
from rollout_client.route import CHEAPEST

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection
    from reconciler.planning.feature_config import Configuration
    from reconciler.rollout_file.routing import Cost

RESOLVED_BY: Final = "cheapest"


@dataclass(frozen=True, slots=True)
class Resolved:
    """The choices that changed for one feature."""

    feature: str
    moves: Sequence[Move]


def resolve_cheapest(
    database: Database,
    features: Iterable[str] | None = None,
    *,
    by: str = RESOLVED_BY,
) -> Sequence[Resolved]:
    """Choose the cheapest processors again, and write the choices that change with their history.

    Args:
        database: the rollout's database.
        features: the features; None means all.
        by: the author of the history's rows.

    Returns:
        Each feature with a rule to the cheapest processor.
    """
    chosen = None if features is None else set(features)

    def resolve(connection: "AnyConnection") -> Sequence[Resolved]:
        require_newest(connection)
        names = [
            name
            for name, each in read_configurations(connection).items()
            if (chosen is None or name in chosen)
            and any(rule.to == CHEAPEST for rule in each.routing)
        ]
        locked = {name: lock_choices(connection, name) for name in names}
        # Another transaction may have changed a row while this one waited for its lock.
        configurations, costs = read_configurations(connection), read_costs(connection)
        freezes = read_applied_freezes(connection)
        return tuple(
            Resolved(
                name,
                _resolve(
                    connection,
                    name,
                    configurations[name],
                    locked[name],
                    costs,
                    is_frozen=freezes.hold(name) is not None,
                    by=by,
                ),
            )
            for name in names
        )

    return write_transaction(database, resolve)


def _resolve(
    connection: "AnyConnection",
    feature: str,
    configuration: "Configuration",
    locked: LockedChoices,
    costs: "Mapping[str, Cost]",
    *,
    is_frozen: bool,
    by: str,
) -> Sequence[Move]:
    overrides = read_overrides(connection, feature)
    moves = tuple(
        cheaper_moves(
            configuration,
            locked.choices,
            read_job_groups(connection, feature, locked.now - COMPARED_PERIOD, costs),
            costs,
            locked.now,
            is_limited=any(
                each.state is OverrideState.ON for rows in overrides.values() for each in rows
            ),
            is_frozen=is_frozen,
        )
    )
    if not moves:
        return ()
    choices = with_moves(configuration, locked.choices, moves)
    write_choices(connection, feature, choices)
    # All choices: a later reader needs them to repeat a decision.
    in_force = [each.as_json() for each in choices]
    for move in moves:
        cause = HistoryCause(by=by, reason=move.sentence)
        HistoryWriter(connection, locked.generation, cause).change(
            Action.UPDATED,
            feature=feature,
            details={"routing_choice": move.details(), "routing_choices": in_force},
        )
    return moves
