"""Promotions as branches: the file with the next stage, committed on the tip of the main branch and pushed.

The checkout does not change. An existing branch of an earlier run is not pushed again, unless all of its
commits have been merged.
"""

from dataclasses import dataclass
from pathlib import Path

from reconciler.errors import Stale, Unavailable
from reconciler.git.checkout import check_branch, find_checkout
from reconciler.git.quarantine import Quarantine, quarantine
from reconciler.git.write_back import Change, commit_file, read_tip
from reconciler.github.names import Names
from reconciler.operations.promote import Promotion
from reconciler.rollout_file.reader import Document
from reconciler.wording import show_number


@dataclass(frozen=True, slots=True)
class PushedPromotion:
    """The branch of a promotion."""

    branch: str
    title: str


def promotion_branch(feature: str, promotion: Promotion, names: Names) -> str:
    """Return the branch of a feature's next stage."""
    return names.branch(f"promote-{feature}-{show_number(promotion.step.stage.percentage)}")


def push_promotion(
    document: Document, feature: str, promotion: Promotion, base: str, names: Names
) -> PushedPromotion:
    """Push the promotion of a file that was read at `base`, a branch of the remote.

    Raises:
        Stale: the file at the branch's tip has changed.
        CannotWriteBack: the file is not in a git repository, or the remote does not answer.
        Unavailable: the remote refuses the push.
    """
    checkout = find_checkout(Path(document.path))
    step = promotion.step
    stage = show_number(step.stage.percentage)
    branch = check_branch(checkout.repository, promotion_branch(feature, promotion, names))
    title = f"Promote {feature}: {show_number(step.before)} → {stage}{names.title_suffix}"
    with quarantine(checkout, checkout.choose_remote(None)) as place:
        tip = read_tip(place, check_branch(checkout.repository, base))
        if tip.document.content != document.content:
            raise Stale(f"{document.path} has changed on {base}; the next run plans again")
        if _is_open(place, branch, tip.commit):
            return PushedPromotion(branch, title)
        text = f"Stage {step.number} of {step.stages}: its conditions are met."
        message = f"{title}\n\n{text}\n\nRollout-Feature: {feature}\n"
        commit = commit_file(place, [tip.commit], tip, Change(promotion.content, message))
        pushed = place.push(commit, branch)
        if place.look([branch]).get(branch) != commit:
            raise Unavailable(f"the branch {branch} could not be pushed: {pushed.answer}")
    return PushedPromotion(branch, title)


def _is_open(place: Quarantine, branch: str, tip: str) -> bool:
    """Return whether the remote has the branch with commits that are not merged."""
    if branch not in place.look([branch]):
        return False
    return not place.is_on(place.fetch(branch), tip)
