"""Write-back: carrying overrides from the database into git, as commits that say why.

A pass reads what is pending, edits the file of the branch's tip, commits, pushes without force, and
believes only what a fresh look at the branch shows. Killed anywhere and started again, it finds in the
branch's history what it had done. A limit is in force whatever becomes of this.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Final
from uuid import UUID

from reconciler.database import lease as leases
from reconciler.database.lease import Lease, LeaseLost
from reconciler.database.pending import PendingFeature, mark_proposed, mark_seen, read_pending
from reconciler.database.schema import require_newest
from reconciler.database.transactions import Database, read_only_transaction, write_transaction
from reconciler.errors import EditRefused, FileInvalid
from reconciler.git.checkout import CannotCarry, Checkout, check_branch, find_checkout
from reconciler.git.quarantine import (
    NETWORK_TIMEOUT_SECONDS,
    Pushed,
    PushOutcome,
    Quarantine,
    quarantine,
)
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

LEASE: Final = "write-back"
LEASE_LENGTH: Final = timedelta(seconds=3 * NETWORK_TIMEOUT_SECONDS + 10)
"""Longer than two commands that talk to a remote take, with what is between: who lives renews in time."""
TRIES: Final = 5
"""How often a push is tried."""
FIRST_PAUSE_SECONDS: Final = 0.5
LEASE_POLL_SECONDS: Final = 0.2

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
class Carried:
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
class WriteBackReport:
    """What a pass did."""

    remote: str | None = None
    branch: str | None = None
    overrides: tuple[Carried, ...] = ()
    problem: str | None = None
    """What kept the pass from doing anything, or from going on."""

    @property
    def pending(self) -> tuple[Carried, ...]:
        """The overrides that are not in git yet."""
        return tuple(each for each in self.overrides if each.outcome is Outcome.PENDING)


def write_back(
    database: Database,
    file: Path,
    *,
    remote: str | None = None,
    branch: str | None = None,
    propose: Propose | None = None,
    patience: timedelta = LEASE_LENGTH,
) -> WriteBackReport:
    """Carry every override that git is not known to say yet; return what became of each.

    A remote that cannot be reached, a branch that takes no pushes, no git at all: each leaves overrides
    pending and is told in the report.

    Args:
        database: where the overrides are.
        file: the rollout file in a checkout, which stays as it is.
        remote: the remote; by default the upstream's, else `origin`.
        branch: the branch; by default the upstream, else the remote's default branch.
        propose: what proposes a branch that was pushed where the rollout's own takes no pushes.
        patience: how long to wait for another pass to end.

    Raises:
        NotFound: there is no such remote.
        SetupInvalid: the branch's name is none, or the database's schema is another.
        Unavailable: the database does not answer.
    """
    with read_only_transaction(database) as connection:
        require_newest(connection)
        pending = read_pending(connection)
    if not pending:
        return WriteBackReport()
    target: tuple[str | None, str | None] = (remote, branch)
    try:
        checkout = find_checkout(file)
        chosen = checkout.choose_remote(remote)
        if branch is not None:
            check_branch(checkout.folder, branch)
        target = (chosen.name, branch)
        with _lease(database, patience) as lease, quarantine(checkout, chosen) as place:
            target = (chosen.name, branch or default_branch(checkout, place))
            return WriteBackReport(*target, _Pass(database, lease, place, target[1], propose).run())
    except (CannotCarry, LeaseLost) as problem:
        return WriteBackReport(*target, tuple(_left(pending)), str(problem))


def default_branch(checkout: Checkout, place: Quarantine) -> str:
    """Return the branch that is carried to where none is named: the upstream, else the remote's default.

    Raises:
        CannotCarry: the remote does not answer, or has no default branch.
    """
    if checkout.upstream is not None and checkout.upstream[0] == place.remote.name:
        return checkout.upstream[1]
    return place.default_branch()


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
class _Pass:
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

    def run(self) -> tuple[Carried, ...]:
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

    def _finish(self, tip: TipFile, looks: Sequence[_Look]) -> tuple[Carried, ...]:
        seen = [row for look in looks for row in look.feature.rows if row.id in look.seen]
        if seen:
            write_transaction(self.database, partial(mark_seen, rows=seen))
        return tuple(self._tell(tip, look, row) for look in looks for row in look.feature.waiting)

    def _tell(self, tip: TipFile, look: _Look, row: StoredOverride) -> Carried:
        name, override = look.feature.name, row.id
        if override in look.seen:
            commit = self.pushed.get(override)
            if commit is None or not self.place.is_on(commit, tip.commit):
                return Carried(name, override, Outcome.SETTLED)
            is_on = row.state is OverrideState.ON
            outcome = Outcome.WRITTEN if is_on else Outcome.REMOVED
            return Carried(name, override, outcome, commit=commit)
        if override in self.proposed:
            return Carried(name, override, Outcome.PROPOSED, branch=self.proposed[override])
        why = self.reasons.get(override)
        match look.decision:
            case Wait(reason):
                why = str(reason)
            case _ if row.state is OverrideState.OFF and why is None:
                why = str(Why.PROPOSED_BEFORE)
        return Carried(name, override, Outcome.PENDING, why=why)


@contextmanager
def _lease(database: Database, patience: timedelta) -> Iterator[Lease]:
    """Hold the lease, once whoever holds it is done or killed."""
    deadline = time.monotonic() + patience.total_seconds()
    while True:
        with leases.held(database, LEASE, LEASE_LENGTH) as lease:
            if lease is not None:
                yield lease
                return
        if time.monotonic() >= deadline:
            holder = leases.read_holder(database, LEASE)
            at_work = "somebody else" if holder is None else holder.name
            raise LeaseLost(f"{at_work} is writing back; what is pending goes with the next pass")
        time.sleep(random.uniform(0.5, 1.5) * LEASE_POLL_SECONDS)  # noqa: S311


def _left(pending: Sequence[PendingFeature]) -> Iterator[Carried]:
    for feature in pending:
        for override in feature.pending:
            yield Carried(feature.name, override, Outcome.PENDING)
