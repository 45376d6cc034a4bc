"""The issues for incidents and drift: their titles and texts.

The same state gives the same text, so that an issue changes only when its state does.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from reconciler.cli.render.text import for_markdown
from reconciler.github.issues import DesiredIssue
from reconciler.planning.drift import Decision, Drift, describe_drift
from reconciler.planning.health import Reason
from reconciler.rollout_file.override import Override
from reconciler.wording import feature_option, show_number, show_time

if TYPE_CHECKING:
    from reconciler.github.incidents import Incident

_MAX_DRIFT: Final = 100


def incident_issue(incident: "Incident") -> DesiredIssue:
    """Return the issue of a feature that an override limits, or that fails without an override."""
    feature = incident.feature
    if incident.override is None:
        if incident.health.judgement.reason is Reason.SHARED_CAUSE:
            return _shared_outage(incident)
        body = (
            f"Jobs of {for_markdown(feature)} fail: {for_markdown(incident.health.sentence)}.\n\n"
            "It has not been rolled back (`auto_rollback` is off, or the rollback has not run yet).\n\n"
            f"To roll it back now: {_command('rollback', feature, '--to 0 ')}"
        )
        return DesiredIssue(feature, f"Rollout: {feature} fails", body)
    title = f"Rollout: {feature} is limited"
    return DesiredIssue(feature, title, "\n\n".join(_override(feature, incident.override)))


def _shared_outage(incident: "Incident") -> DesiredIssue:
    feature = incident.feature
    processors = incident.health.period.processors
    body = (
        f"Jobs of {for_markdown(feature)} fail on both processors: "
        f"{for_markdown(incident.health.sentence)}.\n\n"
        "Nothing was rolled back, and nothing is promoted. Find the common cause of "
        f"{for_markdown(processors.processor)} and {for_markdown(processors.fallback)}; to stop the "
        f"feature anyway: {_command('stop', feature)}"
    )
    return DesiredIssue(feature, f"Rollout: both processors of {feature} fail", body)


def _command(name: str, feature: str, options: str = "") -> str:
    return for_markdown(f"reconcile {name} {feature_option(feature)} {options}--reason …")


def drift_issue(feature: str, drift: Sequence[Drift]) -> DesiredIssue:
    """Return the issue of a feature whose live state was changed by hand."""
    lines = [f"- {for_markdown(describe_drift(each))}" for each in drift[:_MAX_DRIFT]]
    parts = [
        f"The live state of {for_markdown(feature)} differs from the last apply:",
        "\n".join(lines),
    ]
    if any(each.decision is Decision.HOLD for each in drift):
        parts.append(
            "**Every apply is refused until a person decides:** write the live values into the file, "
            "or revert them with `reconcile drift revert`."
        )
    else:
        parts.append("The next apply does this; to do it now: `reconcile`.")
    return DesiredIssue(
        feature,
        f"Rollout: {feature} drifted from what was applied",
        "\n\n".join(parts),
    )


def _override(feature: str, override: Override) -> Iterator[str]:
    state = (
        "is stopped: 0 repositories are eligible"
        if override.percentage is None
        else f"is limited to {show_number(override.percentage)} percent"
    )
    yield (
        f"{for_markdown(feature)} {state}, by {for_markdown(override.by)} since "
        f"{show_time(override.at)}."
    )
    yield f"Why: {for_markdown(override.reason)}"
    yield (
        "It does not resume by itself. To resume, remove the block `override` of this feature from the "
        f"rollout file in a pull request, or: {_command('resume', feature)}"
    )
    yield f"Override {for_markdown(str(override.id))}."
