"""`reconcile status`: the rollout on one screen."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.context import choose_live_feature, open_database
from reconciler.cli.options import Format, Settings, exact_option, settings_of
from reconciler.cli.output import fields_of, print_json, print_result
from reconciler.cli.render.text import for_line, paragraph, wrapped
from reconciler.wording import (
    count,
    counted,
    short_commit,
    short_limit,
    show_number,
    show_time,
    when_counted,
)

if TYPE_CHECKING:
    from reconciler.database.history import HistoryEntry
    from reconciler.database.status import FeatureStatus, OverrideStatus, Status
    from reconciler.operations.drift import DriftByFeature


@click.command(epilog="Example: reconcile status --format json")
@exact_option
@click.pass_context
def command(context: click.Context, /, *, is_exact: bool) -> None:
    """Show each feature on one screen: strategy, percentage, eligible repositories, health, limits."""
    run(settings_of(context), is_exact=is_exact)


def run(settings: Settings, *, is_exact: bool = False) -> "Status":
    """Print the state of each feature and the last apply, and return them."""
    from reconciler.database.schema import require_newest
    from reconciler.database.schema_objects import find_differences
    from reconciler.database.status import read_status
    from reconciler.database.transactions import read_only_transaction
    from reconciler.operations.drift import read_drift, read_drift_causes

    settings.choose_format(Format.TEXT, Format.JSON)
    database = open_database(settings)
    with read_only_transaction(database) as connection:
        require_newest(connection)
        if settings.feature is not None:
            choose_live_feature(settings, connection)
        found = read_status(connection, feature=settings.feature, is_exact=is_exact)
        differences = find_differences(connection)
    if differences:
        settings.warn(
            f"{for_line('; '.join(differences))}; services can get other answers than shown here; "
            "run: reconcile db upgrade --repair"
        )

    drift, causes = read_drift(database), read_drift_causes(database)
    if settings.format is Format.JSON:
        print_json(settings, _as_json(found, drift, causes))
    else:
        from reconciler.cli.render.drift_text import drift_lines

        lines = {name: drift_lines(each, causes.get(name)) for name, each in drift.items()}
        print_result(settings, "\n\n".join(_screen(found, lines)))
    return found


def _as_json(
    found: "Status", drift: "DriftByFeature", causes: "Mapping[str, HistoryEntry]"
) -> dict[str, Any]:
    from reconciler.cli.render.drift_text import drift_as_json

    features = [
        {**fields_of(each), **drift_as_json(drift.get(each.name, ()), causes.get(each.name))}
        for each in found.features
    ]
    return {**fields_of(found), "features": features}


def _screen(found: "Status", drift: Mapping[str, Iterable[str]]) -> list[str]:
    from reconciler.database.notifications import NOTIFIES_UP_TO_PERCENT, PAUSED
    from reconciler.database.server import ONE_COPY

    if found.applied_at is None:
        applied = "nothing was applied yet"
    else:
        commit = (
            short_commit(found.applied_commit) if found.applied_commit else "a file outside git"
        )
        applied = f"generation {found.generation}, {commit}, applied {show_time(found.applied_at)}"
    features = ("\n".join([_feature(each), *drift.get(each.name, ())]) for each in found.features)
    first = wrapped(applied)
    if found.last_tick is not None:
        first += paragraph("watch", f"last tick {show_time(found.last_tick)}")
    if not found.synchronous_standby:
        first += paragraph("copies", ONE_COPY)
    if found.notification_queue > NOTIFIES_UP_TO_PERCENT:
        first += paragraph("queue", PAUSED)
    undelivered = found.notifications
    late = [
        f"{count(number)} {word}"
        for number, word in ((undelivered.dead, "dead"), (undelivered.late, "late"))
        if number
    ]
    if late:
        first += paragraph("messages", f"{', '.join(late)}; see reconcile notify list")
    return ["\n".join(first), *features]


def _feature(feature: "FeatureStatus") -> str:
    repositories = feature.repositories
    share = 100 * feature.eligible / repositories if repositories else 0
    lines = (
        ("state", _state(feature)),
        ("strategy", feature.strategy),
        ("percentage", show_number(feature.percentage)),
        (
            "eligible",
            f"{count(feature.eligible)} of {counted(repositories, 'repository')} ({share:.1f} %)"
            f"{when_counted(feature.counted_at, is_before_change=feature.counted_before_change)}",
        ),
        ("whitelist", counted(feature.whitelist, "entry")),
        ("exclusions", counted(feature.exclusions, "entry")),
        ("changed", show_time(feature.updated_at)),
    )
    body = [part for label, value in lines for part in paragraph(label, value)]
    health = feature.health
    body += paragraph("health", for_line(f"{health.verdict}: {health.summary}"))
    if feature.override is not None:
        body += paragraph("override", for_line(_override(feature.override)))
    if feature.freeze is not None:
        body += paragraph("freeze", for_line(feature.freeze.summary))
    if feature.approval is not None:
        body += paragraph("approved", for_line(feature.approval.summary))
    if feature.resumed_in_git:
        resumed = counted(feature.resumed_in_git, "resumed override")
        body += paragraph("git", f"{resumed} may still be in git: reconcile write-back")
    return "\n".join([click.style(for_line(feature.name), bold=True), *body])


def _override(override: "OverrideStatus") -> str:
    limit = short_limit(override.percentage)
    text = f"{limit} by {override.by} since {show_time(override.at)}: {override.reason}"
    if override.in_git:
        return text
    if override.proposed_branch is not None:
        return f"{text}; not in git yet, merge {override.proposed_branch}"
    return f"{text}; not in git yet: reconcile write-back"


def _state(feature: "FeatureStatus") -> str:
    if not feature.active:
        return "inactive"
    if feature.emergency_stop:
        return click.style("stopped", fg="red", bold=True)
    if feature.override is not None and feature.override.percentage is not None:
        limit = show_number(feature.override.percentage)
        return click.style(f"held at {limit}", fg="yellow", bold=True)
    return click.style("active", fg="green")
