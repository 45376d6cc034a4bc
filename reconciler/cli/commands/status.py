"""`reconcile status`: the rollout on one screen."""

from typing import TYPE_CHECKING

import click

from reconciler.cli.context import open_database, require_feature
from reconciler.cli.options import Format, settings_of
from reconciler.cli.output import show_result
from reconciler.cli.render.escape import for_line
from reconciler.cli.render.lines import line, paragraph
from reconciler.wording import count, counted, short_commit, show_number, show_time

if TYPE_CHECKING:
    from reconciler.database.status import FeatureStatus, OverrideStatus, Status


@click.command(epilog="Example: reconcile status --format json")
@click.pass_context
def status(context: click.Context) -> "Status":
    """Show strategy, percentage and audience of each feature, and what was applied last."""
    from reconciler.database.live_state import read_configurations
    from reconciler.database.schema import require_newest
    from reconciler.database.status import read_status
    from reconciler.database.transactions import read_only_transaction

    settings = settings_of(context)
    settings.choose_format(Format.TEXT, Format.JSON)
    with read_only_transaction(open_database(settings)) as connection:
        require_newest(connection)
        if settings.feature is not None:
            require_feature(settings.feature, read_configurations(connection))
        found = read_status(connection, feature=settings.feature)
    return show_result(settings, found, lambda: "\n\n".join(_screen(found)))


def _screen(found: "Status") -> list[str]:
    if found.applied_at is None:
        applied = "nothing was applied yet"
    else:
        commit = (
            short_commit(found.applied_commit) if found.applied_commit else "a file outside git"
        )
        applied = f"generation {found.generation}, {commit}, applied {show_time(found.applied_at)}"
    return [applied, *(_feature(each, found.repositories) for each in found.features)]


def _feature(feature: "FeatureStatus", repositories: int) -> str:
    share = 100 * feature.eligible / repositories if repositories else 0
    lines = (
        ("state", _state(feature)),
        ("strategy", feature.strategy),
        ("percentage", show_number(feature.percentage)),
        (
            "who",
            f"{count(feature.eligible)} of {counted(repositories, 'repository')} ({share:.1f} %)",
        ),
        ("whitelist", counted(feature.whitelist, "entry")),
        ("exclusions", counted(feature.exclusions, "entry")),
        ("changed", show_time(feature.updated_at)),
    )
    body = [line(label, value) for label, value in lines]
    health = feature.health
    body += paragraph("health", for_line(f"{health.verdict}: {health.summary}"))
    if feature.override is not None:
        body += paragraph("override", for_line(_override(feature.override)))
    if feature.resumed_in_git:
        told = f"{counted(feature.resumed_in_git, 'resumed override')} may still be there"
        body += paragraph("git", f"{told}: reconcile write-back")
    return "\n".join([click.style(for_line(feature.name), bold=True), *body])


def _override(override: "OverrideStatus") -> str:
    limit = "stop" if override.percentage is None else f"at most {show_number(override.percentage)}"
    said = f"{limit} by {override.by} since {show_time(override.at)}: {override.reason}"
    if override.in_git:
        return said
    if override.proposed_branch is not None:
        return f"{said}; not in git yet, merge {override.proposed_branch}"
    return f"{said}; not in git yet: reconcile write-back"


def _state(feature: "FeatureStatus") -> str:
    if feature.emergency_stop:
        return click.style("stopped", fg="red", bold=True)
    return click.style("active", fg="green") if feature.active else "inactive"
