"""Which overrides git is not known to say yet, and marking those that it says."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import text

from reconciler.database.overrides import read_overrides
from reconciler.database.queries import queries
from reconciler.planning.overrides import StoredOverride

if TYPE_CHECKING:
    from sqlalchemy import Connection

_SQL = queries("write_back")


@dataclass(frozen=True, slots=True)
class PendingFeature:
    """A feature that has overrides to carry."""

    name: str
    rows: tuple[StoredOverride, ...]
    """All of its overrides, in any state."""
    pending: Sequence[UUID]
    """Those of which it is not known that git says them."""
    proposed: Mapping[UUID, str]
    """The branch that was pushed for one, where its own branch took none."""

    @property
    def waiting(self) -> tuple[StoredOverride, ...]:
        """The rows that are pending."""
        return tuple(row for row in self.rows if row.id in self.pending)


def read_pending(connection: "Connection") -> tuple[PendingFeature, ...]:
    """Return the features that have overrides to carry, the oldest override first."""
    found: dict[UUID, list[UUID]] = {}
    names: dict[UUID, str] = {}
    proposed: dict[UUID, str] = {}
    for row in connection.execute(text(_SQL["pending"])):
        found.setdefault(row.rollout_config_id, []).append(row.id)
        names[row.rollout_config_id] = row.feature_name
        if row.proposed_branch is not None:
            proposed[row.id] = row.proposed_branch
    if not found:
        return ()
    overrides = read_overrides(connection)
    return tuple(
        PendingFeature(names[each], overrides.get(each, ()), tuple(pending), proposed)
        for each, pending in found.items()
    )


def mark_seen(connection: "Connection", rows: Iterable[StoredOverride]) -> None:
    """Remember that git says what these rows do, as they were when it was looked at."""
    listed = list(rows)
    parameters = {
        "ids": [row.id for row in listed],
        "states": [row.state.value for row in listed],
    }
    connection.execute(text(_SQL["mark_seen"]), parameters)


def look_again(connection: "Connection", overrides: Iterable[UUID]) -> None:
    """Have write-back look after the resumed ones among those whose block a file has.

    A push that outlived its pass, and a lease, can bring a block after it was seen not to be there.
    """
    if ids := list(overrides):
        connection.execute(text(_SQL["look_again"]), {"ids": ids})


def mark_proposed(connection: "Connection", override: UUID, branch: str) -> None:
    """Remember the branch that was pushed for an override."""
    connection.execute(text(_SQL["mark_proposed"]), {"id": override, "branch": branch})
