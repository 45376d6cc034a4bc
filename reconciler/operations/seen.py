"""The state that a person saw before an act: the act takes place only if the feature still has it."""

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from reconciler.errors import Moved
from reconciler.planning.history import HistoryCause

if TYPE_CHECKING:
    from reconciler.database.override_actions import FoundFeature


@dataclass(frozen=True, slots=True)
class SeenBy:
    """The state that a person saw before an act, and the page or program that showed it."""

    version: str | None
    """The feature's `version_of` at that time; None for an act on the feature as it is."""
    via: str
    """The page or program; history has it as `via`."""


def version_of(found: "FoundFeature") -> str:
    """Return a short text that changes with the feature's state, its limits and its applied state."""
    overrides = [(row.override.model_dump_json(), row.state) for row in found.standing.overrides]
    state = repr((found.standing.live, found.standing.desired, overrides, found.generation))
    return sha256(state.encode()).hexdigest()[:16]


def cause_of_person(
    found: "FoundFeature", by: str, reason: str, seen: SeenBy | None
) -> HistoryCause:
    """Return the cause of a person's act on a locked feature.

    Raises:
        Moved: the feature has changed since the person saw it.
    """
    if seen is None:
        return HistoryCause(by=by, reason=reason)
    if seen.version is not None and seen.version != version_of(found):
        raise Moved(
            f"{found.name} has changed since this page was read; nothing was written; look again"
        )
    return HistoryCause(by=by, reason=reason, details={"via": seen.via})
