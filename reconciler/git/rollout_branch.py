"""The branch from which the rollout is applied: its name, and its relation to a commit."""

import os
from pathlib import Path
from typing import Final

from reconciler.errors import ReconcilerError, SetupInvalid
from reconciler.git.ancestry import Relation
from reconciler.git.checkout import CannotWriteBack, Checkout, check_branch, find_checkout
from reconciler.git.command import GitFailed
from reconciler.git.quarantine import Quarantine, quarantine
from reconciler.rollout_file import read_rollout_file

BRANCH_VARIABLE: Final = "ROLLOUT_BRANCH"


def rollout_branch(checkout: Checkout, place: Quarantine) -> str:
    """Return the rollout's branch: `ROLLOUT_BRANCH`, else `branch` of the file, else the remote's default.

    The checked-out branch does not count: a limit on a feature branch alone is not in force by git.

    Raises:
        CannotWriteBack: the remote does not answer or has no default branch, or the name is invalid.
    """
    found = os.environ.get(BRANCH_VARIABLE) or _declared_branch(checkout.file)
    try:
        return check_branch(checkout.repository, found or place.default_branch())
    except SetupInvalid as error:
        raise CannotWriteBack(str(error)) from None


def relate_at_remote(file: Path, applied: str, head: str) -> tuple[Relation, str]:
    """Return the relation of `head` to `applied`, with the remote's rollout branch, and that branch.

    Raises:
        CannotWriteBack: the remote does not answer.
    """
    checkout = find_checkout(file)
    remote = checkout.choose_remote(None)
    with quarantine(checkout, remote) as place:
        branch = rollout_branch(checkout, place)
        tip, shown = place.fetch(branch), f"{remote.name}/{branch}"
        if not place.repository.has_commit(applied):
            return Relation.UNKNOWN, shown
        if place.is_on(head, applied):
            return Relation.BEHIND, shown
        is_diverged = place.is_on(applied, tip) and _have_common_history(place, applied, head)
        return Relation.DIVERGED if is_diverged else Relation.APART, shown


def _declared_branch(file: Path) -> str | None:
    try:
        return read_rollout_file(file).rollout.branch
    except ReconcilerError:
        # A limit is written into the branch's file even if the file here is broken or missing.
        return None


def _have_common_history(place: Quarantine, applied: str, head: str) -> bool:
    try:
        return bool(place.git.merge_base(applied, head))
    except GitFailed:
        return False
