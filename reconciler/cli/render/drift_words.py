"""Drift in words: what somebody changed live, and what becomes of it."""

from reconciler.planning.drift import Decision, Drift
from reconciler.planning.feature_config import ListField, ScalarField
from reconciler.wording import count


def describe_drift(drift: Drift) -> str:
    """Say what somebody changed live, and what an apply does about it."""
    match drift.decision:
        case Decision.KEEP:
            fate = "kept, since it narrows, as an override that goes into git"
        case Decision.REVERT:
            fate = "taken back"
        case Decision.HOLD:
            fate = "held, since it narrows and no override can say it"
        case Decision.ADOPT:
            fate = "stays, since the file says so by now"
    return f"{drift.field.column} {_change(drift)}, by somebody live: {fate}"


def _change(drift: Drift) -> str:
    match drift.field:
        case ScalarField():
            return f"{drift.field.show(drift.last_applied)} → {drift.field.show(drift.live)}"
        case ListField():
            gone, come = drift.last_applied - drift.live, drift.live - drift.last_applied
            counts = (("−", len(gone)), ("+", len(come)))
            return " ".join(f"{sign}{count(number)}" for sign, number in counts if number)
