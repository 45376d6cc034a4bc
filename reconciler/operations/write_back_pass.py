"""One pass of write-back over all that is pending: look, commit, push, look again.

Only a fresh look at the branch says what became of a push. What is known to have failed is told; whatever
is not seen on the branch stays pending.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Final
from uuid import UUID

from reconciler.database.lease import Lease
from reconciler.database.transactions import Database, read_only_transaction, write_transaction
from reconciler.database.write_back import PendingFeature, mark_proposed, mark_seen, read_pending
from reconciler.errors import EditRefused, FileInvalid
from reconciler.git.quarantine import Pushed, PushOutcome, Quarantine
from reconciler.git.write_back import (
    Edit,
    TipFile,
    block_branch,
    commit_file,
    commit_message,
    describe_edit,
    edit_content,
    proposal_branch,
    read_tip,
    trace_block,
)
from reconciler.planning.overrides import OverrideState, StoredOverride
from reconciler.planning.write_back import (
    Add,
    Decision,
    Nothing,
    Remove,
    Replace,
    Tip,
    Wait,
    Why,
    decide,
    seen_in_git,
)

TRIES: Final = 5
"""How often a push is tried."""
FIRST_PAUSE_SECONDS: Final = 0.5

Propose = Callable[[str, str, str], None]
"""Proposes a branch that was pushed to be merged: its name, a title and a text. May be asked again."""


class Outcome(StrEnum):
    """What became of an override that was pending."""

    WRITTEN = "written"
    """Its block is on the branch, by this pass."""
    REMOVED = "removed"
    """Its block is gone from the branch, by this pass."""
    SETTLED = "settled"
    """The branch said so already."""
    PROPOSED = "proposed"
    """A branch of its own was pushed, since the rollout's takes no pushes."""
    PENDING = "pending"


@dataclass(frozen=True, slots=True)
class WrittenBack:
    """One override that was pending, and what became of it."""

    feature: str
    override: UUID
    outcome: Outcome
    commit: str | None = None
    """The commit that carries it."""
    branch: str | None = None
    """The branch that proposes it."""
    why: str | None = None
    """Why it is pending still."""


@dataclass(frozen=True, slots=True)
class _Look:
    """A feature, as it was found at the tip of the branch."""

    feature: PendingFeature
    decision: Decision
    seen: frozenset[UUID]

    @property
    def edit(self) -> Edit | None:
        """What is to be written, if anything is."""
        match self.decision:
            case Add() | Replace() | Remove():
                return self.decision
            case Nothing() | Wait():
                return None


@dataclass(slots=True)
class Pass:
    """One pass over all that is pending."""

    database: Database
    lease: Lease
    place: Quarantine
    branch: str
    propose: Propose | None
    pushed: dict[UUID, str] = field(default_factory=dict)
    """The commit that was pushed for an override; only the branch tells whether it came through."""
    proposed: dict[UUID, str] = field(default_factory=dict)
    """The branch that proposes an override's edit."""
    reasons: dict[UUID, str] = field(default_factory=dict)
    """Why an override's edit could not be written."""

    def run(self) -> tuple[WrittenBack, ...]:
        """Try until the branch says all that can be said; remember what it says."""
        for attempt in range(TRIES):
            if attempt:
                time.sleep(random.uniform(0.5, 1.5) * FIRST_PAUSE_SECONDS * 2 ** (attempt - 1))  # noqa: S311
            tip, looks = self._look()
            commits = self._commit(tip, looks)
            if not commits:
                break
            head = commits[-1]
            self.lease.renew()
            answer = self.place.push(head, self.branch)
            if answer.outcome is PushOutcome.DECLINED:
                self._propose_all(tip, looks, answer)
                break
            tip, looks = self._look()
            if self.place.is_on(head, tip.commit):
                break
            self._explain(looks, f"the push did not come through: {answer.said}")
        return self._finish(tip, looks)

    def _look(self) -> tuple[TipFile, list[_Look]]:
        """Look at the branch and the database afresh."""
        self.lease.renew()
        tip = read_tip(self.place, self.branch)
        with read_only_transaction(self.database) as connection:
            pending = read_pending(connection)
        return tip, [self._look_at(feature, tip) for feature in pending]

    def _look_at(self, feature: PendingFeature, tip: TipFile) -> _Look:
        # A long history is asked for each feature.
        self.lease.renew()
        found = tip.document.rollout.features.get(feature.name)
        block = None if found is None else found.override
        wanted = set(feature.pending) | ({block.id} if block is not None else set())
        traces = {
            row.id: trace_block(self.place, tip, row.id) for row in feature.rows if row.id in wanted
        }
        said = None if found is None else Tip(found.percentage, block)
        may_come = {
            each for each, branch in feature.proposed.items() if branch == block_branch(each)
        } - {each for each, trace in traces.items() if trace.was_there}
        return _Look(
            feature,
            decide(said, feature.rows, traces),
            seen_in_git(said, feature.rows, traces, may_come) & set(feature.pending),
        )

    def _commit(self, tip: TipFile, looks: Sequence[_Look]) -> list[str]:
        """Write a commit for each edit, one on the other; return them in order."""
        commits: list[str] = []
        content = tip.document.content
        for look in looks:
            edit = look.edit
            if edit is None or self._is_proposed(look, edit):
                continue
            edited = self._edited(content, look, edit)
            if edited is not None:
                parent = commits[-1] if commits else tip.commit
                message = commit_message(look.feature.name, edit)
                commits.append(commit_file(self.place, parent, tip, edited, message))
                self.pushed[edit.override.id] = commits[-1]
                content = edited
        return commits

    def _is_proposed(self, look: _Look, edit: Edit) -> bool:
        branch = proposal_branch(edit)
        if look.feature.proposed.get(edit.override.id) != branch:
            return False
        self.proposed[edit.override.id] = branch
        return True

    def _edited(self, content: bytes, look: _Look, edit: Edit) -> bytes | None:
        try:
            return edit_content(content, look.feature.name, edit)
        except (EditRefused, FileInvalid) as error:
            self.reasons[edit.override.id] = f"its block cannot be written: {error}"
            return None

    def _propose_all(self, tip: TipFile, looks: Sequence[_Look], answer: Pushed) -> None:
        """Push a branch of its own for each edit, and remember it, so that it is pushed once."""
        edits = [(look, look.edit) for look in looks if look.edit is not None]
        for look, edit in edits:
            override, branch = edit.override.id, proposal_branch(edit)
            content = self._edited(tip.document.content, look, edit)
            if self._is_proposed(look, edit) or content is None:
                continue
            self.lease.renew()
            # A run that was killed may have pushed it already.
            if branch not in self.place.look([branch]):
                message = commit_message(look.feature.name, edit)
                commit = commit_file(self.place, tip.commit, tip, content, message)
                said = self.place.push(commit, branch).said
                if branch not in self.place.look([branch]):
                    self.reasons[override] = (
                        f"{self.branch} takes no pushes ({answer.said}), nor does {branch} ({said})"
                    )
                    continue
            if self.propose is not None:
                self.propose(branch, *describe_edit(look.feature.name, edit))
            write_transaction(
                self.database, partial(mark_proposed, override=override, branch=branch)
            )
            self.proposed[override] = branch

    def _explain(self, looks: Sequence[_Look], why: str) -> None:
        for look in looks:
            if look.edit is not None:
                self.reasons[look.edit.override.id] = why

    def _finish(self, tip: TipFile, looks: Sequence[_Look]) -> tuple[WrittenBack, ...]:
        seen = [row for look in looks for row in look.feature.rows if row.id in look.seen]
        if seen:
            write_transaction(self.database, partial(mark_seen, rows=seen))
        return tuple(self._tell(tip, look, row) for look in looks for row in look.feature.waiting)

    def _tell(self, tip: TipFile, look: _Look, row: StoredOverride) -> WrittenBack:
        name, override = look.feature.name, row.id
        if override in look.seen:
            commit = self.pushed.get(override)
            if commit is None or not self.place.is_on(commit, tip.commit):
                return WrittenBack(name, override, Outcome.SETTLED)
            is_on = row.state is OverrideState.ON
            outcome = Outcome.WRITTEN if is_on else Outcome.REMOVED
            return WrittenBack(name, override, outcome, commit=commit)
        if override in self.proposed:
            return WrittenBack(name, override, Outcome.PROPOSED, branch=self.proposed[override])
        return WrittenBack(name, override, Outcome.PENDING, why=self._why(look, row))

    def _why(self, look: _Look, row: StoredOverride) -> str | None:
        match look.decision:
            case Wait(why):
                return str(why)
            case Nothing() if row.state is OverrideState.OFF:
                return str(Why.PROPOSED_BEFORE)
            case _:
                return self.reasons.get(row.id)
