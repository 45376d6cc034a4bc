"""Commands and the safeguard in a small world, decided by the real planning code."""

from collections.abc import Sequence
from decimal import Decimal
from functools import cache

from reconciler.planning import override_actions
from reconciler.planning.exposure import Exposure
from reconciler.planning.override_actions import Act, Standing
from reconciler.planning.overrides import StoredOverride
from reconciler.rollout_file.override import Override
from rollout_client.targeting.strategy import Strategy

Live = tuple[Decimal, bool]
Rows = tuple[StoredOverride, ...]


@cache
def imposed(live: Live, desired: int, rows: Rows, override: Override) -> tuple[Live, Rows] | None:
    """Return the live state and the rows after an override is set; None if that changes nothing."""
    return _outcome(override_actions.impose(_standing(live, desired, rows), override), rows)


@cache
def lifted(live: Live, desired: int, rows: Rows) -> tuple[Live, Rows] | None:
    """Return the live state and the rows after a person resumes; None if that changes nothing."""
    return _outcome(override_actions.lift(_standing(live, desired, rows)), rows)


def _standing(live: Live, desired: int, rows: Sequence[StoredOverride]) -> Standing:
    percentage, stopped = live
    return Standing(
        live=Exposure(active=True, emergency_stop=stopped, percentage=percentage),
        desired=Exposure(active=True, emergency_stop=False, percentage=Decimal(desired)),
        strategy=Strategy.PERCENTAGE,
        overrides=rows,
    )


def _outcome(act: Act | None, rows: Rows) -> tuple[Live, Rows] | None:
    if act is None:
        return None
    settled = {row.id: row for row in (*rows, *act.written)}
    return (act.after.percentage, act.after.emergency_stop), tuple(settled.values())
