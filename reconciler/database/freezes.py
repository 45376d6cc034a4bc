"""The freezes of the last applied file, and which of them hold now.

Reads in the caller's transaction and writes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from reconciler.database.driver import execute
from reconciler.database.queries import queries
from reconciler.planning.freezes import Hold, find_hold, of_feature, read_freezes
from reconciler.rollout_file.freezes import Freeze

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection

_SQL = queries("freezes")


@dataclass(frozen=True, slots=True)
class AppliedFreezes:
    """The freezes of the last applied file, at a time."""

    freezes: Sequence[Freeze]
    now: datetime
    """By the database's clock, when they were read."""

    def hold(self, feature: str) -> Hold | None:
        """Return what holds a feature now; None if no freeze does."""
        return find_hold(of_feature(self.freezes, feature), self.now)


def read_applied_freezes(connection: "AnyConnection") -> AppliedFreezes:
    """Return the freezes of the last applied file."""
    row = execute(connection, _SQL["applied"]).one()
    return AppliedFreezes(read_freezes(row.freezes), row.now)
