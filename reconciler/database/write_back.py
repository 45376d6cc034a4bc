"""The overrides that git must have, and whether git was seen to have them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from reconciler.database.driver import execute
from reconciler.database.overrides import read_overrides
from reconciler.database.queries import queries
from reconciler.planning.overrides import OverrideState, StoredOverride

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection

_SQL = queries("write_back")


@dataclass(frozen=True, slots=True)
class StandingFeature:
    """A feature with overrides that git must have or lose."""

    name: str
    rows: tuple[StoredOverride, ...]
    """All of its overrides, in any state."""
    standing: Sequence[UUID]
    """Those in force, and the resumed ones whose block may still be in git."""
    seen: frozenset[UUID]
    """Those of them that git was seen to have."""
    proposed: Mapping[UUID, str]
    """The branch that was pushed for an override, if the rollout's branch accepts no push."""

    @property
    def pending(self) -> tuple[UUID, ...]:
        """The overrides for which git was not seen to agree."""
        return tuple(each for each in self.standing if each not in self.seen)


def read_standing(connection: "AnyConnection") -> tuple[StandingFeature, ...]:
    """Return the features with overrides that git must have or lose, the oldest override first."""
    standing: dict[UUID, list[UUID]] = {}
    names: dict[UUID, str] = {}
    proposed: defaultdict[UUID, dict[UUID, str]] = defaultdict(dict)
    seen: defaultdict[UUID, set[UUID]] = defaultdict(set)
    for row in execute(connection, _SQL["standing"]):
        standing.setdefault(row.rollout_config_id, []).append(row.id)
        names[row.rollout_config_id] = row.feature_name
        if row.proposed_branch is not None:
            proposed[row.rollout_config_id][row.id] = row.proposed_branch
        if row.is_seen:
            seen[row.rollout_config_id].add(row.id)
    if not standing:
        return ()
    overrides = read_overrides(connection)
    return tuple(
        StandingFeature(
            names[each],
            overrides.get(each, ()),
            tuple(ids),
            frozenset(seen[each]),
            proposed[each],
        )
        for each, ids in standing.items()
    )


def read_pending(connection: "AnyConnection") -> tuple[StandingFeature, ...]:
    """Return the features with an override for which git was not seen to agree."""
    return tuple(each for each in read_standing(connection) if each.pending)


def mark_seen(connection: "AnyConnection", rows: Iterable[tuple[str, StoredOverride]]) -> None:
    """Record that git agrees with these rows, each with its feature, as they were when git was read."""
    listed = list(rows)
    parameters = {
        "features": [feature for feature, _ in listed],
        "ids": [row.id for _, row in listed],
        "states": [row.state.value for _, row in listed],
    }
    execute(connection, _SQL["mark_seen"], parameters)


def look_again(
    connection: "AnyConnection",
    *,
    there: Iterable[tuple[str, UUID]] = (),
    absent: Iterable[tuple[str, UUID]] = (),
) -> None:
    """Make write-back check overrides again if a file contradicts what was seen before.

    A push that ends after its pass and lease can add the block of a resumed override after it was
    seen to be removed. A forced push or a deleted branch can lose the block of an override in
    force.

    Args:
        connection: a transaction.
        there: features and overrides with a block in the file.
        absent: features and overrides in force without a block in the file.
    """
    found = [
        *((*each, OverrideState.OFF.value) for each in there),
        *((*each, OverrideState.ON.value) for each in absent),
    ]
    if found:
        features, ids, states = (list(column) for column in zip(*found, strict=True))
        parameters = {"features": features, "ids": ids, "states": states}
        execute(connection, _SQL["look_again"], parameters)


def mark_proposed(connection: "AnyConnection", feature: str, override: UUID, branch: str) -> None:
    """Record the branch that was pushed for an override of a feature."""
    parameters = {"feature": feature, "id": override, "branch": branch}
    execute(connection, _SQL["mark_proposed"], parameters)
