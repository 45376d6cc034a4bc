"""An act at once that widens a feature while a freeze holds it: what history and listeners have of that."""

from dataclasses import replace

from reconciler.operations.events import FreezeOverridden
from reconciler.planning.freezes import Hold, OverriddenFreeze
from reconciler.planning.history import HistoryCause


def go_through(
    hold: Hold, feature: str, cause: HistoryCause, generation: int
) -> tuple[HistoryCause, FreezeOverridden]:
    """Return the cause of an act with the freeze in its details, and the event for after its commit."""
    details = OverriddenFreeze(hold, cause.reason).details
    event = FreezeOverridden(feature, hold.sentence, cause.reason, cause.by, generation)
    return replace(cause, details={**cause.details, **details}), event
