"""`reconcile explain`: whether a repository is eligible, and why."""

import os
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.context import choose_live_feature, reading
from reconciler.cli.options import Format, Settings, settings_of
from reconciler.cli.output import show_result
from reconciler.cli.render.as_of import AS_OF_NOTE, AT_HELP, as_of, as_of_words
from reconciler.cli.render.text import beside, for_line, wrapped
from reconciler.cli.types import MomentType
from reconciler.wording import counted

if TYPE_CHECKING:
    from reconciler.database.eligibility import Explanation
    from reconciler.database.time_travel import Moment, Then


@click.command(
    epilog="Example: reconcile explain microsoft/vscode, and in the past: "
    "reconcile explain microsoft/vscode --at 24h"
)
@click.argument("repository", metavar="REPOSITORY")
@click.option("--at", type=MomentType(), metavar="GENERATION|TIME|COMMIT", help=AT_HELP)
@click.pass_context
def command(context: click.Context, repository: str, at: "Moment | None") -> None:
    """Show whether a repository (owner/name or id) has the feature, and the result of each rule.

    ROLLOUT_EMERGENCY_STOP and ROLLOUT_PERCENTAGE count as they are set here, except with --at.
    """
    run(settings_of(context), repository, at)


def run(settings: Settings, repository: str, at: "Moment | None" = None) -> dict[str, Any]:
    """Print whether a repository has the feature and why, and return it."""
    from reconciler.database.eligibility import explain_repository, explain_then
    from reconciler.database.repositories import FoundRepository, find_repository
    from reconciler.database.time_travel import read_then
    from reconciler.targeting.environment import EnvironmentOverride
    from reconciler.uuid_text import is_uuid

    settings.choose_format(Format.TEXT, Format.JSON)
    environment = EnvironmentOverride.parse(os.environ)
    with reading(settings) as connection:
        feature = settings.feature or choose_live_feature(settings, connection)
        found = (
            # An id needs no lookup: an unknown id has an answer too.
            FoundRepository(repository.lower(), repository)
            if is_uuid(repository)
            else find_repository(connection, repository)
        )
        then = None if at is None else read_then(connection, feature, at)
        explanation = (
            explain_repository(connection, found, feature, environment)
            if then is None
            else explain_then(connection, found, feature, then)
        )
    data = _as_json(explanation) | {"as_of": as_of(then)}
    return show_result(settings, data, lambda: _as_text(explanation, then))


def _as_json(explanation: "Explanation") -> dict[str, Any]:
    decision = explanation.decision
    repository = explanation.repository
    return {
        "feature": explanation.feature,
        "repository": None if repository is None else repository.full_name,
        "id": explanation.repository_id,
        "eligible": decision.eligible,
        "rule": decision.rule,
        "reason": decision.reason,
        "bucket": decision.bucket,
        "category": decision.category,
        "figures": explanation.activity,
        "rules": explanation.rules,
    }


def _as_text(explanation: "Explanation", then: "Then | None") -> str:
    decision = explanation.decision
    repository = explanation.repository
    name = explanation.repository_id if repository is None else repository.full_name
    verdict = (
        click.style("eligible", fg="green", bold=True)
        if decision.eligible
        else click.style("not eligible", fg="red", bold=True)
    )
    lines = [
        f"{for_line(name or explanation.repository_id)} and {for_line(explanation.feature)}: {verdict}",
        *wrapped(f"{decision.rule}: {for_line(decision.reason)}", indent="    "),
    ]
    if then is not None:
        lines += [f"    as of {as_of_words(then)};", f"    {AS_OF_NOTE}"]
    lines.append("")
    for number, finding in enumerate(explanation.rules, start=1):
        sign = "→" if finding.decides else " "
        beginning = f"  {sign} {number:>2}  {finding.rule:<21}"
        for line in beside(beginning, for_line(finding.found)):
            lines.append(click.style(line, bold=True) if finding.decides else line)
    return "\n".join([*lines, *_size(explanation)])


def _size(explanation: "Explanation") -> list[str]:
    decision, activity = explanation.decision, explanation.activity
    lines = [""]
    if decision.bucket is not None:
        lines.append(f"    bucket    {decision.bucket} of 10,000")
    if decision.category is not None and activity is not None:
        recorded = "recorded" if explanation.is_categorized else "not recorded yet, as of now"
        lines.append(
            f"    category  {decision.category} ({recorded}): {counted(activity.stars, 'star')}, "
            f"{counted(activity.contributors, 'contributor')}, "
            f"{counted(activity.pull_requests, 'pull request')}"
        )
    lines.append(f"    id        {explanation.repository_id}")
    return lines
