"""One pass of write-back over all pending overrides: read, commit, push, read again.

Only a fresh fetch of the branch shows the outcome of a push. Known failures are reported; an
override that is not on the branch stays pending.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Final
from uuid import UUID

from reconciler.database.lease import Lease
from reconciler.database.transactions import Database, read_only_transaction, write_transaction
from reconciler.database.write_back import (
    look_again,
    mark_proposed,
    mark_seen,
    read_standing,
)
from reconciler.errors import EditRefused, FileInvalid
from reconciler.git.quarantine import PushOutcome, Quarantine
from reconciler.git.write_back import (
    Change,
    Edit,
    Publish,
    TipFile,
    commit_message,
    describe_edit,
    edit_content,
    is_outdated,
    is_own,
    proposal_branch,
    read_tip,
)
from reconciler.operations.write_back_look import Look, look_at
from reconciler.planning.overrides import OverrideState, StoredOverride
from reconciler.planning.write_back import Nothing, Wait, Why
from rollout_client.backoff import backoff_seconds, with_jitter

TRIES: Final = 5
"""The number of tries of a push."""
FIRST_BACKOFF_SECONDS: Final = 0.5
LONGEST_BACKOFF_SECONDS: Final = 4.0

Propose = Callable[[str, str, str], None]
"""Proposes to merge a pushed branch, by its name, a title and a text. May be called again."""


class Outcome(StrEnum):
    """The outcome for a pending override."""

    WRITTEN = "written"
    """This pass wrote its block to the branch."""
    REMOVED = "removed"
    """This pass removed its block from the branch."""
    SETTLED = "settled"
    """The branch agreed already."""
    PROPOSED = "proposed"
    """A separate branch was pushed, because the rollout's accepts no pushes."""
    PENDING = "pending"


@dataclass(frozen=True, slots=True)
class WrittenBack:
    """One pending override, and its outcome."""

    feature: str
    override: UUID
    outcome: Outcome
    commit: str | None = None
    """The commit that writes it back."""
    branch: str | None = None
    """The branch that proposes it."""
    why: str | None = None
    """The reason why it is still pending."""


@dataclass(frozen=True, slots=True)
class _Attempt:
    """The result of trying the edit of one override of a feature."""

    feature: str
    override: UUID
    commit: str | None = None
    """Its commit; only the branch shows whether the push was accepted."""
    branch: str | None = None
    """The branch that proposes it."""
    why: str | None = None
    """The reason why it could not be written."""


_Attempts = dict[tuple[str, UUID], _Attempt]
"""By feature and override: two features can each have an override with the same id."""


@dataclass(frozen=True, slots=True)
class _Planned:
    """An edit to write, with the file."""

    feature: str
    edit: Edit
    change: Change

    @property
    def override(self) -> UUID:
        """The written or removed override."""
        return self.edit.override.id


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass over all pending overrides."""

    database: Database
    lease: Lease
    place: Quarantine
    branch: str
    propose: Propose | None
    publish: Publish

    def run(self) -> tuple[WrittenBack, ...]:
        """Try until the branch shows every edit that it accepts; store the result in the database."""
        attempts: _Attempts = {}
        for failures in range(TRIES):
            if failures:
                time.sleep(_backoff(failures))
            tip, looks = self._look()
            attempts |= _by_override(self._renew_proposals(tip, looks))
            planned, refused = _plan(tip, looks)
            attempts |= _by_override(refused)
            if not planned:
                break
            self.lease.renew()
            written = self.publish(self.place, tip, self.branch, [each.change for each in planned])
            made = [
                _Attempt(each.feature, each.override, commit=commit)
                for each, commit in zip(planned, written.commits, strict=False)
            ]
            attempts |= _by_override(made)
            if written.outcome is PushOutcome.DECLINED:
                attempts |= _by_override(
                    self._propose(tip, each, f"{self.branch} takes no pushes ({written.answer})")
                    for each in planned
                )
                break
            tip, looks = self._look()
            if written.commits and self.place.is_on(written.commits[-1], tip.commit):
                break
            why = f"the push did not come through: {written.answer}"
            attempts |= _by_override(replace(each, why=why) for each in made)
        return self._finish(tip, looks, attempts)

    def _look(self) -> tuple[TipFile, list[Look]]:
        """Read the branch, the branches that propose edits, and the database again."""
        self.lease.renew()
        tip = read_tip(self.place, self.branch)
        with read_only_transaction(self.database) as connection:
            standing = read_standing(connection)
        named = {branch for feature in standing for branch in feature.proposed.values()}
        proposals = self.place.look(named) if named else {}
        looks = []
        for feature in standing:
            # A long history is read for each feature.
            self.lease.renew()
            looks.append(look_at(self.place, tip, feature, proposals))
        lost = [(look.feature.name, override) for look in looks for override in look.lost]
        if lost:
            write_transaction(self.database, partial(look_again, absent=lost))
        return tip, looks

    def _renew_proposals(self, tip: TipFile, looks: Sequence[Look]) -> Iterator[_Attempt]:
        """Yield each edit that a branch proposes, if that branch has it on the present tip."""
        for look in looks:
            edit = look.edit
            if edit is None or not look.is_proposed:
                continue
            branch, proposal = look.proposed[edit.override.id]
            self.place.fetch(branch)
            if is_own(self.place, proposal) and is_outdated(self.place, proposal, tip):
                planned = _planned(tip.document.content, look.feature.name, edit)
                if isinstance(planned, _Attempt):
                    yield planned
                    continue
                self.lease.renew()
                renewed = self.publish(self.place, tip, branch, [planned.change], proposal)
                if renewed.outcome is PushOutcome.DECLINED:
                    why = f"{branch} is outdated and takes no pushes ({renewed.answer})"
                    yield _Attempt(look.feature.name, edit.override.id, why=why)
                    continue
                if self.place.look([branch]).get(branch) == proposal:
                    why = f"{branch} is outdated; the push did not come through: {renewed.answer}"
                    yield _Attempt(look.feature.name, edit.override.id, why=why)
                    continue
            yield _Attempt(look.feature.name, edit.override.id, branch=branch)

    def _propose(self, tip: TipFile, planned: _Planned, why: str) -> _Attempt:
        """Push a separate branch for an edit, and store its name, so that it is pushed once."""
        override, branch = planned.override, proposal_branch(planned.edit)
        # Of a sequence of edits each is proposed alone.
        alone = _planned(tip.document.content, planned.feature, planned.edit)
        if isinstance(alone, _Attempt):
            return alone
        self.lease.renew()
        # A killed run may have pushed it already.
        if not self._is_pushed(branch, tip):
            pushed = self.publish(self.place, tip, branch, [alone.change])
            if not self._is_pushed(branch, tip):
                refused = f"{why}, nor does {branch} ({pushed.answer})"
                return _Attempt(planned.feature, override, why=refused)
        if self.propose is not None:
            self.propose(branch, *describe_edit(planned.feature, planned.edit))
        mark = partial(mark_proposed, feature=planned.feature, override=override, branch=branch)
        write_transaction(self.database, mark)
        return _Attempt(planned.feature, override, branch=branch)

    def _is_pushed(self, branch: str, tip: TipFile) -> bool:
        """Return whether the remote has a branch with a commit that the tip lacks."""
        if branch not in self.place.look([branch]):
            return False
        return not self.place.is_on(self.place.fetch(branch), tip.commit)

    def _finish(
        self, tip: TipFile, looks: Sequence[Look], attempts: _Attempts
    ) -> tuple[WrittenBack, ...]:
        seen = [
            (look.feature.name, row)
            for look in looks
            for row in look.feature.rows
            if row.id in look.seen - (look.feature.seen - look.lost)
        ]
        if seen:
            write_transaction(self.database, partial(mark_seen, rows=seen))
        return tuple(
            self._result(tip, look, row, _attempt(attempts, look.feature.name, row.id))
            for look in looks
            for row in look.reported
        )

    def _result(
        self, tip: TipFile, look: Look, row: StoredOverride, attempt: _Attempt
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


def _by_override(attempts: Iterable[_Attempt]) -> _Attempts:
    return {(each.feature, each.override): each for each in attempts}


def _attempt(attempts: _Attempts, feature: str, override: UUID) -> _Attempt:
    return attempts.get((feature, override), _Attempt(feature, override))


def _plan(tip: TipFile, looks: Sequence[Look]) -> tuple[Sequence[_Planned], Sequence[_Attempt]]:
    """Return the edits that no branch proposes, each on the one before; and those that cannot be written."""
    content = tip.document.content
    planned: list[_Planned] = []
    refused: list[_Attempt] = []
    for look in looks:
        if look.edit is None or look.is_proposed:
            continue
        found = _planned(content, look.feature.name, look.edit)
        if isinstance(found, _Attempt):
            refused.append(found)
        else:
            planned.append(found)
            content = found.change.content
    return planned, refused


def _planned(content: bytes, feature: str, edit: Edit) -> "_Planned | _Attempt":
    try:
        edited = edit_content(content, feature, edit)
    except (EditRefused, FileInvalid) as error:
        return _Attempt(feature, edit.override.id, why=f"its block cannot be written: {error}")
    return _Planned(feature, edit, Change(edited, commit_message(feature, edit)))


def _why(look: Look, row: StoredOverride, attempt: _Attempt) -> str | None:
    match look.decision:
        case Wait(why):
            return str(why)
        case Nothing() if row.state is OverrideState.OFF:
            return str(Why.PROPOSED_BEFORE)
        case _:
            return attempt.why
