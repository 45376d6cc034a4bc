"""Incidents and drift as issues: a title, a text, and the hidden marker that finds them again.

A text is the same for as long as the state is, so that an issue changes only when there is news.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from reconciler.cli.render.drift_words import describe_drift
from reconciler.cli.render.escape import for_markdown
from reconciler.github.issues import State
from reconciler.planning.drift import Decision, Drift
from reconciler.rollout_file.model import Override
from reconciler.wording import show_number, show_time

if TYPE_CHECKING:
    from reconciler.github.incidents import Incident

HEALTH: Final = "<!-- rollout-reconciler: health "
DRIFT: Final = "<!-- rollout-reconciler: drift "
_MAX_DRIFT: Final = 100


def incident_state(incident: "Incident") -> State:
    """Return what an issue says of a feature that is held back, or fails without being held back."""
    feature = incident.feature
    marker = f"{HEALTH}{feature} -->"
    if incident.override is None:
        body = (
            f"Jobs of {for_markdown(feature)} fail, and nothing rolls it back by itself "
            "(`auto_rollback` is off, or the rollback is yet to come).\n\n"
            f"To pull it back now: `reconcile rollback --feature {feature} --to 0 --reason …`"
        )
        return State(marker, f"Rollout: {feature} fails", body)
    title = f"Rollout: {feature} is held back"
    return State(marker, title, "\n\n".join(_override(feature, incident.override)))


def drift_state(feature: str, drift: Sequence[Drift]) -> State:
    """Return what an issue says of a feature whose live state somebody changed by hand."""
    lines = [f"- {for_markdown(describe_drift(each))}" for each in drift[:_MAX_DRIFT]]
    parts = [
        f"Live state of {for_markdown(feature)} is not what was applied last:",
        "\n".join(lines),
    ]
    if any(each.decision is Decision.HOLD for each in drift):
        parts.append(
            "**It holds every apply until a person decides:** say in the file what is live, "
            "or take it back with `reconcile drift revert`."
        )
    else:
        parts.append("The next apply settles it as said; to settle it now: `reconcile`.")
    return State(
        f"{DRIFT}{feature} -->",
        f"Rollout: {feature} drifted from what was applied",
        "\n\n".join(parts),
    )


def _override(feature: str, override: Override) -> Iterator[str]:
    state = (
        "is stopped: nobody gets it"
        if override.percentage is None
        else f"is held to {show_number(override.percentage)} percent"
    )
    yield (
        f"{for_markdown(feature)} {state}, by {for_markdown(override.by)} since "
        f"{show_time(override.at)}."
    )
    yield f"Why: {for_markdown(override.reason)}"
    yield (
        "Nothing resumes by itself. To resume, remove the block `override` of this feature from the "
        f"rollout file in a pull request, or: `reconcile resume --feature {feature} --reason …`"
    )
    yield f"Override {for_markdown(str(override.id))}."
