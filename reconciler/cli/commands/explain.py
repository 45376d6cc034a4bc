"""`reconcile explain`: whether a repository is eligible, and why."""

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from reconciler.cli.completion import complete_repositories
from reconciler.cli.context import choose_live_feature, reading_replica
from reconciler.cli.options import Format, Settings, settings_of
from reconciler.cli.output import show_result
from reconciler.cli.render.as_of import AS_OF_NOTE, AT_HELP, as_of, as_of_words
from reconciler.cli.render.text import beside, for_line, wrapped
from reconciler.cli.types import JobType, MomentType
from reconciler.wording import counted, short_commit, short_limit, show_time
from rollout_client.targeting.eligibility import Rule
from rollout_client.targeting.explanation import LIST_HAS

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection
    from reconciler.database.eligibility import Explanation
    from reconciler.database.time_travel import Moment, Then
    from reconciler.operations.list_origin import Origin
    from reconciler.rollout_file.override import Override
    from rollout_client.route import Job, Route

_LISTS: Final = {Rule.EXCLUDED: "exclusions", Rule.WHITELISTED: "whitelist"}
"""The rules of lists, and the key of each list in the file."""


@click.command(epilog="Example: reconcile explain microsoft/vscode --at 24h")
@click.argument("repository", metavar="REPOSITORY", shell_complete=complete_repositories)
@click.option("--at", type=MomentType(), metavar="GENERATION|TIME|COMMIT", help=AT_HELP)
@click.option(
    "--job",
    type=JobType(),
    metavar="KIND[:SIZE]",
    help="Also show the processor of a job, such as pull_requests:120, and the rule that decides.",
)
@click.pass_context
def command(
    context: click.Context, *, repository: str, at: "Moment | None", job: "Job | None"
) -> None:
    """Show whether a repository (owner/name or id) has the feature, and the result of each rule.

    ROLLOUT_EMERGENCY_STOP and ROLLOUT_PERCENTAGE of this process count too, except with --at.
    """
    run(settings_of(context), repository, at, job)


def run(
    settings: Settings,
    repository: str,
    at: "Moment | None" = None,
    job: "Job | None" = None,
) -> dict[str, Any]:
    """Print whether a repository has the feature and why, and return it."""
    from reconciler.database.cost import read_loads, read_routing_of
    from reconciler.database.eligibility import explain_repository, explain_then
    from reconciler.database.repositories import FoundRepository, find_repository
    from reconciler.database.time_travel import read_then
    from reconciler.uuid_text import is_uuid
    from rollout_client.route import NO_LIMITS
    from rollout_client.targeting.environment import EnvironmentOverride

    settings.choose_format(Format.TEXT, Format.JSON)
    environment = EnvironmentOverride.parse(os.environ)
    with reading_replica(settings) as connection:
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
        origins = _origins(connection, settings, explanation)
        limit = None if then is not None else _limit(connection, explanation)
        decision = explanation.decision
        routing = read_routing_of(connection, feature) if then is None else then.routing
        # How many jobs ran in the past is not stored.
        loads = read_loads(connection, routing) if job is not None and then is None else NO_LIMITS
    route = by_rules = None
    if job is not None:
        category, eligible = decision.category, decision.eligible
        route = routing.route(job, eligible=eligible, category=category, loads=loads)
        by_rules = routing.route(job, eligible=eligible, category=category)
    data = _as_json(explanation) | {
        "override": _limit_as_json(limit),
        "as_of": as_of(then),
        "route": route,
    }
    return show_result(
        settings,
        data,
        lambda: "\n".join(
            [
                _as_text(explanation, then, origins, limit),
                *_route_lines(route, by_rules),
            ]
        ),
    )


def _route_lines(route: "Route | None", by_rules: "Route | None") -> Iterator[str]:
    if route is None or by_rules is None:
        return
    if not route.eligible:
        reason = "the repository is not eligible"
    elif route.rule is None:
        reason = "no rule of routing fits"
    else:
        reason = f"rule {route.rule} of routing" + (f": {route.because}" if route.because else "")
        if route.processor != by_rules.processor:
            reason += f"; {by_rules.processor} is at its concurrency"
    yield from beside("    job       ", for_line(f"{route.processor} ({reason})"))


def _limit(connection: "AnyConnection", explanation: "Explanation") -> "Override | None":
    """Return the override in force that can be the reason that the repository is not eligible."""
    from reconciler.database.overrides import read_overrides
    from reconciler.planning.overrides import OverrideState

    if not explanation.can_be_limited:
        return None
    found = read_overrides(connection, explanation.feature)
    in_force = (
        each.override for rows in found.values() for each in rows if each.state is OverrideState.ON
    )
    return next(in_force, None)


def _limit_as_json(limit: "Override | None") -> dict[str, Any] | None:
    if limit is None:
        return None
    from reconciler.planning.report import report_override

    return report_override(limit).model_dump()


def _origins(
    connection: "AnyConnection", settings: Settings, explanation: "Explanation"
) -> "Mapping[Rule, Origin]":
    """Return the origin of each list entry that includes the repository, by the rule of the list."""
    from reconciler.operations.list_origin import find_origin

    if explanation.repository is None:
        return {}
    feature, keys = explanation.feature, explanation.repository.keys
    origins: dict[Rule, Origin] = {}
    for finding in explanation.rules:
        name = _LISTS.get(finding.rule)
        if name is not None and finding.found.startswith(LIST_HAS[finding.rule]):
            origin = find_origin(connection, settings.path, feature, name, keys)
            if origin is not None:
                origins[finding.rule] = origin
    return origins


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


def _as_text(
    explanation: "Explanation",
    then: "Then | None",
    origins: "Mapping[Rule, Origin]",
    limit: "Override | None",
) -> str:
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
        *wrapped(
            f"{decision.rule}: {for_line(_named(decision.rule, decision.reason, origins))}",
            indent="    ",
        ),
    ]
    if decision.rule in origins:
        lines += wrapped(for_line(_describe_origin(origins[decision.rule])), indent="    ")
    if limit is not None:
        since = f"{short_limit(limit.percentage)} by {limit.by} since {show_time(limit.at)}"
        lines += wrapped(for_line(f"{since}: {limit.reason}"), indent="    ")
    if then is not None:
        lines += [f"    as of {as_of_words(then)};", f"    {AS_OF_NOTE}"]
    lines.append("")
    for number, finding in enumerate(explanation.rules, start=1):
        sign = "→" if finding.decides else " "
        beginning = f"  {sign} {number:>2}  {finding.rule:<21}"
        found = for_line(_named(finding.rule, finding.found, origins))
        for line in beside(beginning, found):
            lines.append(click.style(line, bold=True) if finding.decides else line)
    return "\n".join([*lines, *_size(explanation)])


def _named(rule: Rule, found: str, origins: "Mapping[Rule, Origin]") -> str:
    """Return the finding of a rule, with the entry as the file has it instead of an id."""
    return f"{LIST_HAS[rule]}{origins[rule].entry}" if rule in origins else found


def _describe_origin(origin: "Origin") -> str:
    place = "" if origin.line is None else f" at {origin.file}:{origin.line}"
    added = ""
    if origin.at is not None:
        commit = f" ({short_commit(origin.commit)})" if origin.commit else ""
        added = f"; added in generation {origin.generation}{commit} by {origin.by}"
    return f"entry {origin.entry}{place}{added}"


def _size(explanation: "Explanation") -> list[str]:
    decision, activity = explanation.decision, explanation.activity
    lines = [""]
    if decision.bucket is not None:
        lines.append(f"    bucket    {decision.bucket} of 10,000")
    if decision.category is not None and activity is not None:
        recorded = "recorded" if explanation.is_categorized else "not recorded yet, as of now"
        lines += beside(
            "    category  ",
            f"{decision.category} ({recorded}): {counted(activity.stars, 'star')}, "
            f"{counted(activity.contributors, 'contributor')}, "
            f"{counted(activity.pull_requests, 'pull request')}",
        )
    lines.append(f"    id        {explanation.repository_id}")
    return lines
