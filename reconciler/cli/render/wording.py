"""Sentences that several renderings share: refusals, overrides, write-back."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from reconciler.planning.commit_permission import FREEZE_REASON_TRAILER
from reconciler.planning.guard_names import Allowed, GuardName
from reconciler.planning.guards import MOST_NAMES
from reconciler.planning.plan import FeatureAction, FeaturePlan, MarksPlan, Plan
from reconciler.rollout_file.override import Override
from reconciler.wording import count, describe_permission, short_commit, show_time

if TYPE_CHECKING:
    from reconciler.operations.write_back_pass import WrittenBack

_WITH_REASON = frozenset({GuardName.FREEZE, GuardName.APPROVAL})

REFUSED = "Refused: nothing was written. A person decides:"
"""The line that precedes the ways to go on."""


def describe_absence(feature: FeaturePlan, override: Override) -> str:
    """Return why a file has no block of an override that is in force, and what to do."""
    since = f"in force since {show_time(override.at)}"
    if feature.action is FeatureAction.DEACTIVATE:
        return f"{since}; git does not have it, because this file does not have the feature"
    return (
        f"{since}; this file does not have it: pull the branch, "
        "or write it to git with reconcile write-back"
    )


def describe_allowed(by: Allowed | None) -> str:
    """Return what allows a finding, in parentheses: the commit, and the reason if it has one."""
    if by is None:
        return ""
    where = [] if by.commit is None else [describe_permission(by.commit)]
    why = [] if by.reason is None else [by.reason]
    return f" ({': '.join([*where, *why])})" if where or why else ""


def ways_on(plan: Plan) -> Iterator[str]:
    """Yield each way to go on after a refusal, in a sentence."""
    if guards := sorted({finding.guard for _, finding in plan.refusing}):
        flags = " ".join(f"--allow {guard}" for guard in guards)
        if not _WITH_REASON.isdisjoint(guards):
            flags += ' --reason "TEXT"'
        if plan.allowed_at is not None:
            yield (
                f"wait: from {show_time(plan.allowed_at)} on the same file is allowed; "
                "reconcile watch --follow or the scheduled workflow applies it then"
            )
            yield "or make a smaller change in the file"
        else:
            yield "make a smaller change in the file"
        if GuardName.APPROVAL in guards:
            yield (
                "or get the missing approvals; a pull request can be approved after its merge too, and "
                "the scheduled workflow applies it then"
            )
        yield f"or allow it by name: {flags}{_in_a_commit(guards)}"
    if plan.held:
        yield f"{', '.join(plan.held)}: the live state was narrowed by hand"
        yield "keep the change by writing it into the file: reconcile drift adopt"
        yield "or revert it: reconcile drift revert"


def _in_a_commit(guards: list[GuardName]) -> str:
    """Return how a commit allows guards; it cannot allow itself to go without approvals."""
    if GuardName.APPROVAL in guards:
        return ""
    trailers = " and ".join(f"Rollout-Allow: {guard}" for guard in guards)
    if GuardName.FREEZE in guards:
        trailers += f" and {FREEZE_REASON_TRAILER}: TEXT"
    return (
        f"; in a pull request, by a line in the message of the commit that changes it: {trailers}"
    )


def describe_written_back(where: str, written: "WrittenBack") -> str:
    """Return the outcome of write-back for one override; `where` is the remote's branch."""
    # Imported late, as all that needs the database is.
    from reconciler.operations.write_back_pass import Outcome

    match written.outcome:
        case Outcome.WRITTEN:
            return f"override written to {where} by {short_commit(written.commit or '')}"
        case Outcome.REMOVED:
            return f"override removed from {where} by {short_commit(written.commit or '')}"
        case Outcome.SETTLED:
            return f"{where} is up to date already"
        case Outcome.PROPOSED:
            return f"{where} refuses pushes; merge {written.branch}"
        case Outcome.PENDING:
            return "not in git yet" + (f": {written.why}" if written.why else "")


def mark_drift_lines(marks: MarksPlan) -> Iterator[str]:
    """Yield a sentence for each kind of change of marks as test by SQL."""
    for what, entries in (
        ("mark removed live by hand: the apply sets it again", marks.added.keys() & marks.reverted),
        ("mark set live by hand: the apply removes it", marks.removed.keys() & marks.reverted),
        ("mark set live by hand: kept, it is in the file", marks.adopted_added.keys()),
        ("mark removed live by hand: kept, it is not in the file", marks.adopted_removed.keys()),
    ):
        names = {**marks.reverted, **marks.adopted_added, **marks.adopted_removed}
        shown = sorted(names[key] for key in entries)
        if shown:
            more = f" and {count(len(shown) - MOST_NAMES)} more" if len(shown) > MOST_NAMES else ""
            yield f"{', '.join(shown[:MOST_NAMES])}{more}: {what}"
