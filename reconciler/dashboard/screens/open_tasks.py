"""The screen *Waiting*: the sections of `operations.open_tasks` with their titles and their empty states."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from reconciler.operations.open_tasks import SectionName

TITLES: Final[Mapping[SectionName, str]] = {
    SectionName.DRIFT: "Changes made by hand",
    SectionName.WRITE_BACK: "Not in git yet",
    SectionName.PROPOSALS: "Proposed, to be merged",
    SectionName.REFUSED_APPLIES: "Refused applies",
    SectionName.PROMOTIONS: "Ready for the next stage",
    SectionName.NOTIFICATIONS: "Notifications that were not delivered",
    SectionName.FREEZES: "Freezes now and next",
}


@dataclass(frozen=True, slots=True)
class Empty:
    """What an empty section says."""

    sentence: str
    command: str = ""
    """What to do for its first task; empty if nothing is to be done."""


EMPTY: Final[Mapping[SectionName, Empty]] = {
    SectionName.DRIFT: Empty("The live state is as the last apply left it."),
    SectionName.WRITE_BACK: Empty("Git has every limit."),
    SectionName.PROPOSALS: Empty("No limit waits for a merge."),
    SectionName.REFUSED_APPLIES: Empty(
        "No apply was refused since the last one. Refusals are kept where the file names a receiver "
        "of notifications:",
        "reconcile notify add",
    ),
    SectionName.PROMOTIONS: Empty(
        "No stage has soaked with a passing verdict. The key progression of a feature lists its stages."
    ),
    SectionName.NOTIFICATIONS: Empty("Every notification was delivered, or is on its way."),
    SectionName.FREEZES: Empty("The applied file has no freeze that holds or comes."),
}
