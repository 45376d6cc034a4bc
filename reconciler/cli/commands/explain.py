"""`reconcile explain`: is this repository in, and why."""

import os
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.as_of import AS_OF_NOTE, AT_HELP, MomentType, as_of, as_of_words
from reconciler.cli.context import choose_feature, open_database
from reconciler.cli.options import Format, settings_of
from reconciler.cli.output import show_result
from reconciler.cli.render.escape import for_line
from reconciler.wording import counted

if TYPE_CHECKING:
    from reconciler.database.eligibility import Explanation
    from reconciler.database.time_travel import Moment, Then


@click.command(
    epilog="Example: reconcile explain microsoft/vscode, and as it was: "
    "reconcile explain microsoft/vscode --at 24h"
)
@click.argument("repository", metavar="REPOSITORY")
@click.option("--at", type=MomentType(), metavar="GENERATION|TIME|COMMIT", help=AT_HELP)
@click.pass_context
def explain(context: click.Context, repository: str, at: "Moment | None") -> dict[str, Any]:
    """Tell whether a repository (owner/name or id) gets the feature, and what each rule found.

    ROLLOUT_EMERGENCY_STOP and ROLLOUT_PERCENTAGE count as they are set here; with --at they do not.
    """
    from reconciler.database.eligibility import explain_repository, explain_then
    from reconciler.database.live_state import read_configurations
    from reconciler.database.repositories import FoundRepository, find_repository
    from reconciler.database.schema import require_newest
    from reconciler.database.time_travel import read_then
    from reconciler.database.transactions import read_only_transaction
    from reconciler.targeting.environment import EnvironmentOverride
    from reconciler.uuid_text import is_uuid

    settings = settings_of(context)
    settings.choose_format(Format.TEXT, Format.JSON)
    environment = EnvironmentOverride.parse(os.environ)
    with read_only_transaction(open_database(settings)) as connection:
        require_newest(connection)
        feature = settings.feature or choose_feature(settings, read_configurations(connection))
        found = (
            # An id needs no finding: that nobody has it is an answer too.
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
        f"    {decision.rule}: {for_line(decision.reason)}",
    ]
    if then is not None:
        lines += [f"    as of {as_of_words(then)};", f"    {AS_OF_NOTE}"]
    lines.append("")
    for number, finding in enumerate(explanation.rules, start=1):
        sign = "→" if finding.decides else " "
        line = f"  {sign} {number:>2}  {finding.rule:<21}{for_line(finding.found)}"
        lines.append(click.style(line, bold=True) if finding.decides else line)
    return "\n".join([*lines, *_figures(explanation)])


def _figures(explanation: "Explanation") -> list[str]:
    decision, activity = explanation.decision, explanation.activity
    lines = [""]
    if decision.bucket is not None:
        lines.append(f"    bucket    {decision.bucket} of 10,000")
    if decision.category is not None and activity is not None:
        recorded = "recorded" if explanation.is_categorized else "not categorised yet, as of now"
        lines.append(
            f"    category  {decision.category} ({recorded}): {counted(activity.stars, 'star')}, "
            f"{counted(activity.contributors, 'contributor')}, "
            f"{counted(activity.pull_requests, 'pull request')}"
        )
    lines.append(f"    id        {explanation.repository_id}")
    return lines
