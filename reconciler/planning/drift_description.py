"""The sentence about one change of the live state: the change, and the effect of an apply on it."""

from reconciler.planning.drift import Decision, Drift
from reconciler.planning.feature_config import ListField, ScalarField
from reconciler.wording import count


def describe_drift(drift: Drift) -> str:
    """Return a change of the live state, and the effect of an apply on it."""
    match drift.decision:
        case Decision.KEEP:
            fate = "the apply keeps it as an override, because it narrows the rollout"
        case Decision.REVERT:
            fate = "the apply reverts it"
        case Decision.HOLD:
            fate = (
                "it blocks every apply until a person decides: it narrows the rollout, and no "
                "override can express it"
            )
        case Decision.ADOPT:
            fate = "the apply keeps it, because the file has the same value"
    return f"{drift.field.column} {_change(drift)}, changed live by hand: {fate}"


def _change(drift: Drift) -> str:
    match drift.field:
        case ScalarField():
            return f"{drift.field.show(drift.last_applied)} → {drift.field.show(drift.live)}"
        case ListField():
            gone, come = drift.last_applied - drift.live, drift.live - drift.last_applied
            counts = (("−", len(gone)), ("+", len(come)))
            return " ".join(f"{sign}{count(number)}" for sign, number in counts if number)
