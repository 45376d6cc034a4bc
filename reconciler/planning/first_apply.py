"""The first apply of a live feature: its guard refuses what opens the feature beyond live.

No apply stored the feature, so nothing shows whether a person edited the file, or SQL ran after it was
written. A lower percentage, a stop and a deactivation are kept without this guard, and where an
adoption recorded the feature, a narrowing since then is held.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from reconciler.planning.changes import Change, ListChange, ScalarChange, widens
from reconciler.planning.feature_config import Configuration
from reconciler.planning.feature_context import FeatureContext
from reconciler.planning.field_types import Direction
from reconciler.planning.guard_names import GuardName
from reconciler.planning.guards import Finding
from reconciler.planning.live_state import LiveFeature
from rollout_client.targeting.strategy import Strategy


@dataclass(frozen=True, slots=True)
class WiderThanLive(Finding):
    """The first file of a live feature opens it beyond live, not by its percentage."""

    guard: ClassVar = GuardName.FIRST_APPLY
    changes: tuple[str, ...]

    @property
    def message(self) -> str:
        """The fields with their values, and what to do if live is right."""
        return (
            f"no apply has stored this feature, and the file is wider than live: {', '.join(self.changes)}; "
            "if live is right, write it into the file: reconcile import prints it"
        )


def guard_first_apply(
    context: FeatureContext, changes: Iterable[Change], after: Configuration
) -> Iterator[Finding]:
    """Refuse to open a live feature by lists, strategy, salt or bucketing, if no apply has stored it."""
    found = context.found
    if context.applied is not None or found is None or found.adopted is not None:
        return
    wider = tuple(_describe(each) for each in changes if _opens(each, after))
    if wider and not _never_began(found):
        yield WiderThanLive(wider)


def _opens(change: Change, after: Configuration) -> bool:
    match change:
        case ListChange():
            return widens(change, after)
        case ScalarChange(field, before, value):
            moves = field.direction(before, value) is Direction.BY_AUDIENCE
            return moves and after.strategy is not Strategy.WHITELIST


def _never_began(found: LiveFeature) -> bool:
    """Return whether a row is as a service inserts it, before it has any audience."""
    live = found.configuration
    return not (
        found.was_lowered
        or live.percentage
        or live.whitelist
        or live.exclusions
        or live.strategy is Strategy.WHITELIST
    )


def _describe(change: Change) -> str:
    match change:
        case ListChange(field, added, removed):
            counts = (("+", len(added)), ("−", len(removed)))
            shown = " ".join(f"{sign}{number:,}" for sign, number in counts if number)
            return f"{field.name} {shown}"
        case ScalarChange(field, before, value):
            return f"{field.name} {field.show(before)} → {field.show(value)}"
