"""`reconcile drift`: show changes made directly in the database, adopt them, or revert them."""

from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.context import actor, open_database, outbox_of, require_feature
from reconciler.cli.options import Format, Settings, settings_of
from reconciler.cli.output import ask, can_ask, print_json, print_result
from reconciler.cli.render.drift_text import drift_as_json, drift_lines
from reconciler.cli.render.file_diff import file_diff
from reconciler.cli.render.text import for_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.database.history import HistoryEntry
    from reconciler.operations.drift import DriftByFeature, MarkDrift


@click.group("drift", invoke_without_command=True, epilog="Example: reconcile drift --format json")
@click.pass_context
def command(context: click.Context) -> None:
    """Show changes made directly in the database since the last apply, and the effect of an apply on them."""
    if context.invoked_subcommand is not None:
        return
    from reconciler.operations.drift import (
        MarkDrift,
        read_drift_causes,
        read_drift_of_own_schema,
        read_mark_drift,
    )

    settings = settings_of(context)
    database = open_database(settings)
    found = _chosen(settings, read_drift_of_own_schema(database))
    # A mark does not belong to one feature.
    marks = read_mark_drift(database) if settings.feature is None else MarkDrift()
    causes = read_drift_causes(database)
    if settings.choose_format(Format.TEXT, Format.JSON) is Format.JSON:
        shown = {"set": list(marks.set), "removed": list(marks.removed)}
        features = list(_as_json(found, causes))
        print_json(settings, {"features": features, "test_repositories": shown})
    else:
        text = "\n".join([*_features_as_text(found, causes), *_marks_as_text(marks)])
        print_result(settings, text or "there is no drift")


@command.command(
    epilog='Example: reconcile drift revert --reason "the entry was removed by mistake"'
)
@click.option("--reason", metavar="TEXT", help="The reason, for history.")
@click.option(
    "--allow", type=click.Choice(["freeze"]), help="Revert it also while a freeze holds a feature."
)
@click.option("--yes", "-y", is_flag=True, help="Revert it without a question.")
@click.pass_context
def revert(context: click.Context, *, reason: str | None, allow: str | None, yes: bool) -> None:
    """Revert held drift at once: changes by hand that block every apply.

    The next apply keeps or reverts all other drift.
    """
    from reconciler.operations.drift import (
        read_drift_causes,
        read_drift_of_own_schema,
        revert_held_drift,
    )

    settings = settings_of(context)
    database = open_database(settings, to_write=True)
    found = _chosen(settings, read_drift_of_own_schema(database))
    if found and not yes and can_ask():
        _show(settings, found, "there is no drift", read_drift_causes(database))
        ask("Revert the held drift?", "nothing was reverted")
    reverted = revert_held_drift(
        database,
        found.keys(),
        by=actor(settings),
        reason=reason or "held drift reverted",
        allows_freeze=allow is not None,
        emit=outbox_of(database),
    )
    _show(settings, reverted, "there is no held drift; nothing was written")
    if reverted:
        settings.inform(f"Next: {settings.program} --dry-run")


@command.command(epilog="Example: reconcile drift adopt && git commit --all && reconcile")
@click.option("--yes", "-y", is_flag=True, help="Edit the file without a question.")
@click.pass_context
def adopt(context: click.Context, *, yes: bool) -> None:
    """Write held drift into the file: changes by hand that block every apply.

    The command applies nothing. It does not write kept drift, because an override records that.
    """
    from reconciler.operations.drift import adopt_held_drift, read_drift_of_own_schema
    from reconciler.rollout_file.editing import edit_rollout_file

    settings = settings_of(context)
    chosen = settings.choose_format(Format.TEXT, Format.JSON)
    database = open_database(settings)
    features = _chosen(settings, read_drift_of_own_schema(database)).keys()
    adopted: DriftByFeature = {}

    def edit(before: bytes) -> bytes:
        nonlocal adopted
        adopted, after = adopt_held_drift(database, before, features)
        if after != before and chosen is Format.TEXT:
            print_result(settings, file_diff(settings.file, before, after))
        if after != before and not yes and can_ask():
            ask(f"Edit {for_line(settings.file)}?", "the file was not changed")
        return after

    before, after = edit_rollout_file(settings.path, edit)
    if chosen is Format.JSON or not adopted:
        _show(settings, adopted, "there is no held drift; the file was not changed")
    if after != before:
        settings.inform(
            f"The file has the live state now. Next: review it, commit it, and run {settings.program}"
        )
    elif adopted:
        settings.inform(
            f"The file has the live state already. Next: commit it, and run {settings.program}"
        )


def _chosen(settings: Settings, found: "DriftByFeature") -> "DriftByFeature":
    if settings.feature is None:
        return found
    if found:
        require_feature(settings.feature, found)
    return {name: drift for name, drift in found.items() if name == settings.feature}


def _show(
    settings: Settings,
    found: "DriftByFeature",
    nothing: str,
    causes: "Mapping[str, HistoryEntry] | None" = None,
) -> None:
    if settings.choose_format(Format.TEXT, Format.JSON) is Format.JSON:
        print_json(settings, {"features": list(_as_json(found, causes))})
    else:
        print_result(settings, "\n".join(_features_as_text(found, causes)) or nothing)


def _as_json(
    found: "DriftByFeature", causes: "Mapping[str, HistoryEntry] | None"
) -> "Iterator[dict[str, Any]]":
    for name, drift in found.items():
        shown = drift_as_json(drift, (causes or {}).get(name))
        if causes is None:
            del shown["drift_cause"]
        yield {"name": name, **shown}


def _features_as_text(
    found: "DriftByFeature", causes: "Mapping[str, HistoryEntry] | None"
) -> "Iterator[str]":
    from reconciler.cli.render.text import paragraph
    from reconciler.planning.drift import describe_drift

    for name, drift in found.items():
        yield click.style(for_line(name), bold=True)
        if causes is not None:
            yield from drift_lines(drift, causes.get(name))
            continue
        for each in drift:
            yield from paragraph("drift", for_line(describe_drift(each)))


def _marks_as_text(marks: "MarkDrift") -> "Iterator[str]":
    from reconciler.cli.render.text import paragraph

    if marks.set or marks.removed:
        yield click.style("test repositories", bold=True)
    for name in marks.set:
        yield from paragraph("drift", f"{for_line(name)}: mark set live by hand")
    for name in marks.removed:
        yield from paragraph("drift", f"{for_line(name)}: mark removed live by hand")
