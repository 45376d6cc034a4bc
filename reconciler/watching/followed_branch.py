"""Following a branch: its tip is fetched and applied as the one-shot command would apply it there.

The checkout that people work in stays as it is: the commit is laid out in a temporary repository, in
which its history is read too.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from reconciler.database.apply import Application
from reconciler.database.transactions import Database
from reconciler.errors import FileInvalid, NotFound, Refused, SetupInvalid, Stale
from reconciler.git.checkout import CannotWriteBack, Checkout, check_branch, find_checkout
from reconciler.git.quarantine import Quarantine, quarantine
from reconciler.git.worktree import worktree_at
from reconciler.git.write_back import read_tip
from reconciler.operations import reconcile
from reconciler.operations.events import Applied, NotApplied
from reconciler.operations.reconcile import read_source
from reconciler.planning.health import MetricsSource
from reconciler.planning.plan import Plan


@dataclass(frozen=True, slots=True)
class FollowedBranch:
    """A branch of a remote."""

    remote: str
    branch: str

    @classmethod
    def parse(cls, checkout: Checkout, text: str) -> Self:
        """Return the branch that a text such as `origin/main` names.

        Raises:
            NotFound: it begins with no remote's name.
            SetupInvalid: what follows is no branch's name.
        """
        # A remote's name may have slashes too: the longest that fits is meant.
        remotes = sorted(checkout.remotes, key=len, reverse=True)
        for remote in remotes:
            if text.startswith(f"{remote}/"):
                return cls(remote, check_branch(checkout.folder, text.removeprefix(f"{remote}/")))
        known = ", ".join(sorted(remotes)) or "none"
        raise NotFound(f"{text!r} begins with no remote's name; there are: {known}")


@dataclass(frozen=True, slots=True)
class Follower:
    """How the tip of a branch is applied."""

    database: Database
    file: Path
    followed: FollowedBranch
    applied_by: str
    metrics_source: MetricsSource | None
    confirm: Callable[[], None]
    """Called before anything is written; what it raises keeps it from being written."""

    def follow(self, done_with: str | None) -> Applied | NotApplied | str:
        """Apply the branch's tip, unless that is the commit that nothing more is to be done with.

        Returns:
            What became of the tip, or its commit alone where nothing was to be done.

        Raises:
            CannotWriteBack: the remote does not answer, or has no such branch.
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
            if commit == done_with:
                return commit
            try:
                return self._apply(place)
            except Stale:
                return commit
            except (CannotWriteBack, FileInvalid, NotFound, Refused, SetupInvalid) as problem:
                return NotApplied(commit, str(problem))

    def _apply(self, place: Quarantine) -> Applied | NotApplied:
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
            applied = reconcile.apply(self.database, application)
        if applied.plan.is_refused:
            return NotApplied(tip.commit, _refusal(applied.plan))
        return Applied(tip.commit, applied.plan, applied.generation)


def _refusal(plan: Plan) -> str:
    findings = [f"{name}: {finding.message} ({finding.guard})" for name, finding in plan.refusing]
    held = [f"{name}: somebody narrowed it live; see reconcile drift" for name in plan.held]
    return "; ".join([*findings, *held])
