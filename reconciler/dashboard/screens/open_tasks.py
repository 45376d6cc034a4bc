"""The screen *Waiting*: the sections of `operations.open_tasks` with their titles and their empty states."""

from collections.abc import Mapping
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
EMPTY: Final[Mapping[SectionName, str]] = {
    SectionName.DRIFT: "The live state is as the last apply left it.",
    SectionName.WRITE_BACK: "Git has every limit.",
    SectionName.PROPOSALS: "No limit waits for a merge.",
    SectionName.REFUSED_APPLIES: (
        "No apply was refused since the last one. Refusals are kept where the file names a receiver "
        "of notifications: reconcile notify add."
    ),
    SectionName.PROMOTIONS: (
        "No stage has soaked with a passing verdict. Stages are the key progression of a feature."
    ),
    SectionName.NOTIFICATIONS: "Every notification was delivered, or is on its way.",
    SectionName.FREEZES: "The applied file has no freeze that holds or comes.",
}
