"""`reconcile drift`: what somebody changed live, keeping it, and taking it back."""

import sys
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.context import open_database, require_feature, who_acts
from reconciler.cli.options import Format, Settings, settings_of
from reconciler.cli.output import print_json, print_result
from reconciler.cli.question import ask
from reconciler.cli.render.escape import for_line
from reconciler.cli.render.file_diff import file_diff

if TYPE_CHECKING:
    from reconciler.operations.drift import DriftByFeature


@click.group(invoke_without_command=True, epilog="Example: reconcile drift --format json")
@click.pass_context
def drift(context: click.Context) -> None:
    """Show what somebody changed live since the last apply, and what an apply does about it."""
    if context.invoked_subcommand is not None:
        return
    from reconciler.operations.drift import read_drift

    settings = settings_of(context)
    _show(settings, _chosen(settings, read_drift(open_database(settings))), "nothing drifted")


@drift.command(epilog='Example: reconcile drift revert --reason "the entry was removed by mistake"')
@click.option("--reason", metavar="TEXT", help="Why; history keeps it.")
@click.option("--yes", "-y", is_flag=True, help="Take it back without asking.")
@click.pass_context
def revert(context: click.Context, *, reason: str | None, yes: bool) -> None:
    """Take back, at once, what holds an apply; what narrows and is kept stays."""
    from reconciler.operations.drift import read_drift, revert_held_drift

    settings = settings_of(context)
    database = open_database(settings, to_write=True)
    found = _chosen(settings, read_drift(database))
    if found and not yes and sys.stdin.isatty() and sys.stdout.isatty():
        _show(settings, found, "nothing drifted")
        ask("Take back what is held?", "nothing was taken back")
    reverted = revert_held_drift(
        database, found.keys(), by=who_acts(), reason=reason or "held drift taken back"
    )
    _show(settings, reverted, "nothing is held; nothing was written")


@drift.command(epilog="Example: reconcile drift adopt && git commit --all && reconcile")
@click.option("--yes", "-y", is_flag=True, help="Edit the file without asking.")
@click.pass_context
def adopt(context: click.Context, *, yes: bool) -> None:
    """Write what holds an apply into the file, as it is live; nothing is applied.

    What narrows and is kept needs no file: an override says it.
    """
    from reconciler.operations.drift import adopt_held_drift, read_drift
    from reconciler.rollout_file.editing import edit_rollout_file

    settings = settings_of(context)
    chosen = settings.choose_format(Format.TEXT, Format.JSON)
    database = open_database(settings)
    features = _chosen(settings, read_drift(database)).keys()
    adopted: DriftByFeature = {}

    def edit(before: bytes) -> bytes:
        nonlocal adopted
        adopted, after = adopt_held_drift(database, before, features)
        if after != before and chosen is Format.TEXT:
            print_result(settings, file_diff(settings.file, before, after))
        if after != before and not yes and sys.stdin.isatty() and sys.stdout.isatty():
            ask(f"Edit {for_line(settings.file)}?", "the file stays as it is")
        return after

    before, after = edit_rollout_file(settings.path, edit)
    if chosen is Format.JSON or not adopted:
        _show(settings, adopted, "nothing is held; the file stays as it is")
    if after != before:
        settings.say(f"The file says what is live. Review it, commit it, then: {settings.program}")
    elif adopted:
        settings.say(f"The file says what is live already. Commit it, then: {settings.program}")


def _chosen(settings: Settings, found: "DriftByFeature") -> "DriftByFeature":
    if settings.feature is None:
        return found
    if found:
        require_feature(settings.feature, found)
    return {name: drift for name, drift in found.items() if name == settings.feature}


def _show(settings: Settings, found: "DriftByFeature", nothing: str) -> None:
    if settings.choose_format(Format.TEXT, Format.JSON) is Format.JSON:
        print_json(settings, {"features": _as_json(found)})
    else:
        print_result(settings, _as_text(found) or nothing)


def _as_json(found: "DriftByFeature") -> list[dict[str, Any]]:
    from reconciler.planning.report import report_drift

    return [
        {"name": name, "drift": [report_drift(each).model_dump(mode="json") for each in drift]}
        for name, drift in found.items()
    ]


def _as_text(found: "DriftByFeature") -> str:
    from reconciler.cli.render.drift_words import describe_drift
    from reconciler.cli.render.lines import paragraph

    lines: list[str] = []
    for name, drift in found.items():
        lines.append(click.style(for_line(name), bold=True))
        for each in drift:
            lines += paragraph("drift", for_line(describe_drift(each)))
    return "\n".join(lines)
