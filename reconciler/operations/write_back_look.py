"""A feature's overrides at the tip of the branch, and the edit that is needed there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from uuid import UUID

from reconciler.database.write_back import StandingFeature
from reconciler.git.quarantine import Quarantine
from reconciler.git.write_back import Edit, TipFile, block_branch, proposal_branch, trace_blocks
from reconciler.planning.overrides import StoredOverride
from reconciler.planning.write_back import (
    Add,
    Decision,
    Nothing,
    Remove,
    Replace,
    Tip,
    Wait,
    decide,
    seen_in_git,
)


@dataclass(frozen=True, slots=True)
class Look:
    """A feature at the tip of the branch."""

    feature: StandingFeature
    decision: Decision
    seen: frozenset[UUID]
    """The overrides that the branch has, or has lost for good."""
    proposed: Mapping[UUID, tuple[str, str]]
    """The branch that proposes an override's edit, and its commit."""

    @property
    def edit(self) -> Edit | None:
        """The edit to write; None if none is needed."""
        match self.decision:
            case Add() | Replace() | Remove():
                return self.decision
            case Nothing() | Wait():
                return None

    @property
    def is_proposed(self) -> bool:
        """Whether a branch already proposes the edit."""
        edit = self.edit
        found = None if edit is None else self.proposed.get(edit.override.id)
        return edit is not None and found is not None and found[0] == proposal_branch(edit)

    @property
    def lost(self) -> frozenset[UUID]:
        """The overrides that were seen on the branch, and are missing now without a removal by people."""
        return self.feature.seen - self.seen

    @property
    def reported(self) -> Iterator[StoredOverride]:
        """The overrides to report: all except those that the branch has again."""
        for row in self.feature.rows:
            if row.id in self.feature.standing and row.id not in self.feature.seen & self.seen:
                yield row


def look_at(
    place: Quarantine, tip: TipFile, feature: StandingFeature, proposals: Mapping[str, str]
) -> Look:
    """Return a feature's overrides at the branch's tip; `proposals` are branches of the remote."""
    found = tip.document.rollout.features.get(feature.name)
    block = None if found is None else found.override
    wanted = set(feature.standing) | ({block.id} if block is not None else set())
    traces = trace_blocks(place, tip, [row.id for row in feature.rows if row.id in wanted])
    at_tip = None if found is None else Tip(found.percentage, block)
    # A proposal whose branch the remote lacks does not count: it was deleted without a merge. Nor does
    # that of a block which the branch has had: it was merged.
    proposed = {
        override: (branch, proposals[branch])
        for override, branch in feature.proposed.items()
        if branch in proposals
        and not (branch == block_branch(override) and traces[override].was_there)
    }
    may_come = {
        override for override, (branch, _) in proposed.items() if branch == block_branch(override)
    }
    seen = seen_in_git(at_tip, feature.rows, traces, may_come)
    return Look(
        feature, decide(at_tip, feature.rows, traces), seen & set(feature.standing), proposed
    )
