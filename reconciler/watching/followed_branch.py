"""The followed branch: its tip is fetched and applied by the code of the one-shot command.

The checkout that people work in does not change: a temporary repository holds the commit and its history.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from reconciler.database.transactions import Database
from reconciler.errors import FileInvalid, NotFound, Refused, SetupInvalid, Stale
from reconciler.git.checkout import CannotWriteBack, Checkout, check_branch, find_checkout
from reconciler.git.quarantine import Quarantine, quarantine
from reconciler.git.worktree import worktree_at
from reconciler.git.write_back import read_tip
from reconciler.operations import reconcile
from reconciler.operations.events import CommitApplied, CommitNotApplied
from reconciler.operations.reconcile import read_source
from reconciler.planning.application import Application
from reconciler.planning.health import MetricsSource

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection


@dataclass(frozen=True, slots=True)
class FollowedBranch:
    """A branch of a remote."""

    remote: str
    branch: str

    @classmethod
    def parse(cls, checkout: Checkout, text: str) -> Self:
        """Return the branch that a text such as `origin/main` names.

        Raises:
            NotFound: the text does not begin with the name of a remote.
            SetupInvalid: the rest of the text is not a valid branch name.
        """
        # The name of a remote may contain slashes too: the longest that fits is taken.
        remotes = sorted(checkout.remotes, key=len, reverse=True)
        for remote in remotes:
            if text.startswith(f"{remote}/"):
                return cls(
                    remote, check_branch(checkout.repository, text.removeprefix(f"{remote}/"))
                )
        known = ", ".join(sorted(remotes)) or "none"
        raise NotFound(f"{text!r} does not begin with the name of a remote; remotes here: {known}")


@dataclass(frozen=True, slots=True)
class Follower:
    """Applies the tip of a branch."""

    database: Database
    file: Path
    followed: FollowedBranch
    applied_by: str
    metrics_source: MetricsSource | None
    confirm: Callable[[], None]
    """Called before anything is written; raises if this process is not the leader."""
    require_compared: "Callable[[AnyConnection], None]"
    """Called in the transaction of an apply; raises on a server that may have lost overrides."""

    def follow(self, finished_commit: str | None) -> CommitApplied | CommitNotApplied | str:
        """Apply the branch's tip, unless it is `finished_commit`, which needs no more work.

        Returns:
            The result for the tip, or its commit alone if no action was needed.

        Raises:
            CannotWriteBack: the remote does not answer, or does not have the branch.
            Unavailable: the database does not answer.
        """
        checkout = find_checkout(self.file)
        remote = checkout.choose_remote(self.followed.remote)
        with quarantine(checkout, remote) as place:
            commit = place.look([self.followed.branch]).get(self.followed.branch)
            if commit is None:
                raise CannotWriteBack(
                    f"the remote {remote.name} has no branch {self.followed.branch}"
                )
            if commit == finished_commit:
                return commit
            try:
                return self._apply(place)
            except Stale:
                return commit
            except (CannotWriteBack, FileInvalid, NotFound, Refused, SetupInvalid) as problem:
                return CommitNotApplied(commit, str(problem))

    def _apply(self, place: Quarantine) -> CommitApplied | CommitNotApplied:
        tip = read_tip(place, self.followed.branch)
        with worktree_at(place, tip) as file:
            found = read_source(replace(tip.document, path=str(file)))
            application = Application(
                replace(found, file=str(self.file), found_at=found.file),
                tip.document.rollout,
                applied_by=self.applied_by,
                metrics_source=self.metrics_source,
            )
            self.confirm()
            applied = reconcile.apply(self.database, application, require=self.require_compared)
        if applied.plan.is_refused:
            return CommitNotApplied(
                tip.commit, applied.plan.refusal, is_held=bool(applied.plan.held)
            )
        return CommitApplied(tip.commit, applied.plan, applied.generation)
