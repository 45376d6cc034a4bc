"""`reconcile` without a command: plan, and apply or with `--dry-run` only preview."""

import sys
from typing import TYPE_CHECKING

import click

from reconciler.cli.opening import open_database, who_acts
from reconciler.cli.output import print_result
from reconciler.cli.render.plan_text import Outcome, plan_text, summary
from reconciler.cli.settings import Format, Settings, settings_of

if TYPE_CHECKING:
    from reconciler.database.applying import Application
    from reconciler.planning.plan import Plan
    from reconciler.planning.source import Source

EXIT_CHANGES_PENDING = 2


@click.command(
    epilog="Example: reconcile --dry-run shows what a merge would change; reconcile applies it."
)
@click.option("--dry-run", is_flag=True, help="Show what would change; write nothing.")
@click.option(
    "--detailed-exitcode", is_flag=True, help="With --dry-run: exit 2 where changes are pending."
)
@click.option("--yes", "-y", is_flag=True, help="Apply without asking.")
@click.pass_context
def apply_command(
    context: click.Context, /, *, dry_run: bool, detailed_exitcode: bool, yes: bool
) -> int:
    """Make the database say what rollout.yaml says; with --dry-run only show the difference.

    Compares the file with what is live and writes the difference, with its history, in one
    transaction. Commands below do one thing each.
    """
    if context.invoked_subcommand is not None:
        _refuse_options_of_the_apply(context)
        return 0
    if detailed_exitcode and not dry_run:
        raise click.UsageError("--detailed-exitcode goes with --dry-run")
    settings = settings_of(context)
    settings.choose_format(Format.TEXT, Format.JSON, Format.MARKDOWN)
    if settings.feature is not None:
        raise click.UsageError("--feature: the file is applied as a whole")
    if dry_run:
        has_changes = _preview(settings)
        return EXIT_CHANGES_PENDING if has_changes and detailed_exitcode else 0
    if not yes and settings.format is Format.TEXT and sys.stdin.isatty() and sys.stdout.isatty():
        _apply_after_asking(settings)
    else:
        _apply(settings)
    return 0


def _refuse_options_of_the_apply(context: click.Context) -> None:
    for parameter in apply_command.params:
        if parameter.name is not None and context.params.get(parameter.name):
            raise click.UsageError(
                f"{parameter.opts[0]} before {context.invoked_subcommand!r} means nothing: "
                "it is an option of the apply"
            )


def _preview(settings: Settings) -> bool:
    from reconciler.reconcile import preview

    application = _read_application(settings)
    plan = preview(open_database(settings), application.rollout)
    _show(settings, plan, application.source, Outcome.PREVIEWED)
    return plan.has_changes


def _apply(settings: Settings) -> None:
    from reconciler.reconcile import apply

    application = _read_application(settings)
    applied = apply(open_database(settings, to_write=True), application)
    _show(settings, applied.plan, application.source, Outcome.APPLIED)


def _apply_after_asking(settings: Settings) -> None:
    """Show the plan, ask, and apply exactly that plan."""
    from reconciler.reconcile import apply, preview

    application = _read_application(settings)
    database = open_database(settings, to_write=True)
    plan = preview(database, application.rollout)
    if not plan.has_changes:
        applied = apply(database, application)
        _show(settings, applied.plan, application.source, Outcome.APPLIED)
        return
    _show(settings, plan, application.source, Outcome.PROPOSED)
    click.confirm("Apply this?", abort=True, err=True)
    applied = apply(database, application, expected=plan)
    print_result(settings, summary(applied.plan, Outcome.APPLIED))


def _read_application(settings: Settings) -> "Application":
    from reconciler.database.applying import Application
    from reconciler.reconcile import read_source
    from reconciler.rollout_file import read_rollout_file

    document = read_rollout_file(settings.path)
    return Application(read_source(document), document.rollout, applied_by=who_acts())


def _show(settings: Settings, plan: "Plan", source: "Source", outcome: Outcome) -> None:
    match settings.format:
        case Format.JSON:
            from reconciler.planning.report import make_report

            report = make_report(plan, source, applied=outcome is Outcome.APPLIED)
            print_result(settings, report.model_dump_json(indent=2))
        case Format.MARKDOWN:
            from reconciler.cli.render.plan_markdown import plan_markdown

            print_result(settings, plan_markdown(plan, source, outcome))
        case Format.TEXT | Format.GITHUB:
            print_result(settings, plan_text(plan, source, outcome))
