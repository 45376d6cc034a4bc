"""One pass of write-back over all that is pending: look, commit, push, look again.

Only a fresh look at the branch shows what became of a push. What is known to have failed is reported;
whatever is not seen on the branch stays pending.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Final
from uuid import UUID

from reconciler.backoff import backoff_seconds, with_jitter
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
FIRST_BACKOFF_SECONDS: Final = 0.5
LONGEST_BACKOFF_SECONDS: Final = 4.0

Propose = Callable[[str, str, str], None]
"""Proposes a branch that was pushed to be merged: its name, a title and a text. May be asked again."""


class Outcome(StrEnum):
    """What became of an override that was pending."""

    WRITTEN = "written"
    """Its block is on the branch, by this pass."""
    REMOVED = "removed"
    """Its block is gone from the branch, by this pass."""
    SETTLED = "settled"
    """The branch had it so already."""
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
    """The commit that writes it back."""
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
        """The edit that is to be written; None where there is none."""
        match self.decision:
            case Add() | Replace() | Remove():
                return self.decision
            case Nothing() | Wait():
                return None


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What was tried for one override's edit."""

    override: UUID
    commit: str | None = None
    """The commit that was made for it; only the branch shows whether its push came through."""
    branch: str | None = None
    """The branch that proposes it."""
    why: str | None = None
    """Why it could not be written."""


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass over all that is pending."""

    database: Database
    lease: Lease
    place: Quarantine
    branch: str
    propose: Propose | None

    def run(self) -> tuple[WrittenBack, ...]:
        """Try until the branch shows every edit that it takes; remember in the database what it shows."""
        attempts: dict[UUID, _Attempt] = {}
        for failures in range(TRIES):
            if failures:
                time.sleep(_backoff(failures))
            tip, looks = self._look()
            made = list(self._commit(tip, looks))
            attempts |= _by_override(made)
            commits = [each.commit for each in made if each.commit is not None]
            if not commits:
                break
            self.lease.renew()
            answer = self.place.push(commits[-1], self.branch)
            if answer.outcome is PushOutcome.DECLINED:
                attempts |= _by_override(self._propose_all(tip, looks, answer))
                break
            tip, looks = self._look()
            if self.place.is_on(commits[-1], tip.commit):
                break
            why = f"the push did not come through: {answer.said}"
            attempts |= _by_override(replace(each, why=why) for each in made if each.commit)
        return self._finish(tip, looks, attempts)

    def _look(self) -> tuple[TipFile, list[_Look]]:
        """Read the branch and the database again."""
        self.lease.renew()
        tip = read_tip(self.place, self.branch)
        with read_only_transaction(self.database) as connection:
            pending = read_pending(connection)
        return tip, [self._look_at(feature, tip) for feature in pending]

    def _look_at(self, feature: PendingFeature, tip: TipFile) -> _Look:
        # A long history is read for each feature.
        self.lease.renew()
        found = tip.document.rollout.features.get(feature.name)
        block = None if found is None else found.override
        wanted = set(feature.pending) | ({block.id} if block is not None else set())
        traces = {
            row.id: trace_block(self.place, tip, row.id) for row in feature.rows if row.id in wanted
        }
        at_tip = None if found is None else Tip(found.percentage, block)
        may_come = {
            each for each, branch in feature.proposed.items() if branch == block_branch(each)
        } - {each for each, trace in traces.items() if trace.was_there}
        return _Look(
            feature,
            decide(at_tip, feature.rows, traces),
            seen_in_git(at_tip, feature.rows, traces, may_come) & set(feature.pending),
        )

    def _commit(self, tip: TipFile, looks: Sequence[_Look]) -> Iterator[_Attempt]:
        """Write a commit for each edit that no branch proposes, one on the other, in order."""
        parent, content = tip.commit, tip.document.content
        for look in looks:
            edit = look.edit
            if edit is None:
                continue
            if _is_proposed(look, edit):
                yield _Attempt(edit.override.id, branch=proposal_branch(edit))
                continue
            try:
                content = edit_content(content, look.feature.name, edit)
            except (EditRefused, FileInvalid) as error:
                yield _cannot_be_written(edit, error)
                continue
            message = commit_message(look.feature.name, edit)
            parent = commit_file(self.place, parent, tip, content, message)
            yield _Attempt(edit.override.id, commit=parent)

    def _propose_all(
        self, tip: TipFile, looks: Sequence[_Look], answer: Pushed
    ) -> Iterator[_Attempt]:
        """Push a branch of its own for each edit that no branch proposes yet."""
        for look in looks:
            if look.edit is not None and not _is_proposed(look, look.edit):
                yield self._propose(tip, look.feature.name, look.edit, answer)

    def _propose(self, tip: TipFile, feature: str, edit: Edit, answer: Pushed) -> _Attempt:
        """Push a branch of its own for an edit, and remember it, so that it is pushed once."""
        override, branch = edit.override.id, proposal_branch(edit)
        try:
            content = edit_content(tip.document.content, feature, edit)
        except (EditRefused, FileInvalid) as error:
            return _cannot_be_written(edit, error)
        self.lease.renew()
        # A run that was killed may have pushed it already.
        if branch not in self.place.look([branch]):
            message = commit_message(feature, edit)
            commit = commit_file(self.place, tip.commit, tip, content, message)
            reason = self.place.push(commit, branch).said
            if branch not in self.place.look([branch]):
                why = f"{self.branch} takes no pushes ({answer.said}), nor does {branch} ({reason})"
                return _Attempt(override, why=why)
        if self.propose is not None:
            self.propose(branch, *describe_edit(feature, edit))
        write_transaction(self.database, partial(mark_proposed, override=override, branch=branch))
        return _Attempt(override, branch=branch)

    def _finish(
        self, tip: TipFile, looks: Sequence[_Look], attempts: Mapping[UUID, _Attempt]
    ) -> tuple[WrittenBack, ...]:
        seen = [row for look in looks for row in look.feature.rows if row.id in look.seen]
        if seen:
            write_transaction(self.database, partial(mark_seen, rows=seen))
        return tuple(
            self._result(tip, look, row, attempts.get(row.id, _Attempt(row.id)))
            for look in looks
            for row in look.feature.waiting
        )

    def _result(
        self, tip: TipFile, look: _Look, row: StoredOverride, attempt: _Attempt
    ) -> WrittenBack:
        name, override = look.feature.name, row.id
        if override in look.seen:
            if attempt.commit is None or not self.place.is_on(attempt.commit, tip.commit):
                return WrittenBack(name, override, Outcome.SETTLED)
            is_on = row.state is OverrideState.ON
            outcome = Outcome.WRITTEN if is_on else Outcome.REMOVED
            return WrittenBack(name, override, outcome, commit=attempt.commit)
        if attempt.branch is not None:
            return WrittenBack(name, override, Outcome.PROPOSED, branch=attempt.branch)
        return WrittenBack(name, override, Outcome.PENDING, why=_why(look, row, attempt))


def _backoff(failures: int) -> float:
    return with_jitter(
        backoff_seconds(
            failures,
            first_seconds=FIRST_BACKOFF_SECONDS,
            longest_seconds=LONGEST_BACKOFF_SECONDS,
        )
    )


def _by_override(attempts: Iterable[_Attempt]) -> dict[UUID, _Attempt]:
    return {each.override: each for each in attempts}


def _is_proposed(look: _Look, edit: Edit) -> bool:
    return look.feature.proposed.get(edit.override.id) == proposal_branch(edit)


def _cannot_be_written(edit: Edit, error: EditRefused | FileInvalid) -> _Attempt:
    return _Attempt(edit.override.id, why=f"its block cannot be written: {error}")


def _why(look: _Look, row: StoredOverride, attempt: _Attempt) -> str | None:
    match look.decision:
        case Wait(why):
            return str(why)
        case Nothing() if row.state is OverrideState.OFF:
            return str(Why.PROPOSED_BEFORE)
        case _:
            return attempt.why
