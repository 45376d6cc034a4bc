"""Which overrides git has to have, and which of them it was seen to have."""

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
class StandingFeature:
    """A feature with overrides that git has to have, or has to lose."""

    name: str
    rows: tuple[StoredOverride, ...]
    """All of its overrides, in any state."""
    standing: Sequence[UUID]
    """Those in force, and those resumed whose block may still be in git."""
    seen: frozenset[UUID]
    """Those of them that git was seen to have."""
    proposed: Mapping[UUID, str]
    """The branch that was pushed for one, where the rollout's branch takes no pushes."""

    @property
    def pending(self) -> tuple[UUID, ...]:
        """The overrides that git was not seen to have, or to have lost."""
        return tuple(each for each in self.standing if each not in self.seen)


def read_standing(connection: "Connection") -> tuple[StandingFeature, ...]:
    """Return the features with overrides that git has to have or to lose, the oldest override first."""
    standing: dict[UUID, list[UUID]] = {}
    names: dict[UUID, str] = {}
    proposed: dict[UUID, str] = {}
    seen: set[UUID] = set()
    for row in connection.execute(text(_SQL["standing"])):
        standing.setdefault(row.rollout_config_id, []).append(row.id)
        names[row.rollout_config_id] = row.feature_name
        if row.proposed_branch is not None:
            proposed[row.id] = row.proposed_branch
        if row.is_seen:
            seen.add(row.id)
    if not standing:
        return ()
    overrides = read_overrides(connection)
    return tuple(
        StandingFeature(
            names[each],
            overrides.get(each, ()),
            tuple(ids),
            frozenset(seen.intersection(ids)),
            {override: proposed[override] for override in ids if override in proposed},
        )
        for each, ids in standing.items()
    )


def read_pending(connection: "Connection") -> tuple[StandingFeature, ...]:
    """Return the features with an override that git was not seen to have, or to have lost."""
    return tuple(each for each in read_standing(connection) if each.pending)


def mark_seen(connection: "Connection", rows: Iterable[StoredOverride]) -> None:
    """Remember that git has what these rows have, as they were when git was read."""
    listed = list(rows)
    parameters = {
        "ids": [row.id for row in listed],
        "states": [row.state.value for row in listed],
    }
    connection.execute(text(_SQL["mark_seen"]), parameters)


def look_again(
    connection: "Connection", *, there: Iterable[UUID] = (), absent: Iterable[UUID] = ()
) -> None:
    """Have write-back look at overrides again that a file has, or lacks, against what was seen before.

    A push that outlived its pass, and a lease, can bring a resumed one's block after it was seen to be
    gone; a forced push or a deleted branch can lose the block of one that is in force.

    Args:
        connection: a transaction.
        there: overrides whose block the file has.
        absent: overrides in force whose block the file lacks.
    """
    parameters = {"there": list(there), "absent": list(absent)}
    if any(parameters.values()):
        connection.execute(text(_SQL["look_again"]), parameters)


def mark_proposed(connection: "Connection", override: UUID, branch: str) -> None:
    """Remember the branch that was pushed for an override."""
    connection.execute(text(_SQL["mark_proposed"]), {"id": override, "branch": branch})
