"""`reconcile` without a command: plan, and apply or with `--dry-run` only preview."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.opening import open_database, who_acts
from reconciler.cli.output import print_result
from reconciler.cli.plan_file import read_plan, write_plan
from reconciler.cli.render.plan_text import Outcome, plan_text, summary
from reconciler.cli.settings import Format, Settings, settings_of
from reconciler.errors import Refused
from reconciler.planning.guards import GuardName
from reconciler.planning.report import make_report
from reconciler.planning.saved import expect

if TYPE_CHECKING:
    from reconciler.database.applying import Application
    from reconciler.planning.plan import Plan
    from reconciler.planning.saved import Expectation
    from reconciler.planning.source import Source
    from reconciler.reconcile import Permission

EXIT_CHANGES_PENDING = 2


@click.command(
    epilog="Example: reconcile --dry-run shows what a merge would change; reconcile applies it."
)
@click.option("--dry-run", is_flag=True, help="Show what would change; write nothing.")
@click.option(
    "--detailed-exitcode", is_flag=True, help="With --dry-run: exit 2 where changes are pending."
)
@click.option("--yes", "-y", is_flag=True, help="Apply without asking.")
@click.option(
    "--allow",
    type=click.Choice([each.value for each in GuardName]),
    multiple=True,
    metavar="GUARD",
    help="Allow what this guard refuses; may be given several times.",
)
@click.option(
    "--accept-history-rewrite",
    is_flag=True,
    help="Apply a commit that does not descend from the applied one.",
)
@click.option(
    "--require-commit",
    is_flag=True,
    default=None,
    help="Refuse a file with local changes; on by itself where CI is set.",
)
@click.option("--plan-out", metavar="FILE", help="With --dry-run: save the plan as JSON.")
@click.option("--plan-in", metavar="FILE", help="Apply this saved plan and nothing else.")
@click.pass_context
def apply_command(
    context: click.Context,
    /,
    *,
    dry_run: bool,
    detailed_exitcode: bool,
    yes: bool,
    allow: tuple[str, ...],
    accept_history_rewrite: bool,
    require_commit: bool | None,
    plan_out: str | None,
    plan_in: str | None,
) -> int:
    """Make the database say what rollout.yaml says; with --dry-run only show the difference.

    Compares the file with what was applied last and what is live, and writes the difference, with
    its history, in one transaction. Commands below do one thing each.
    """
    if context.invoked_subcommand is not None:
        _refuse_options_of_the_apply(context)
        return 0
    settings = settings_of(context)
    _refuse_what_does_not_go_together(context, settings)
    from reconciler.reconcile import Permission

    permission = Permission(frozenset(map(GuardName, allow)), accept_history_rewrite)
    application = _read_application(settings)
    is_required = bool(os.environ.get("CI")) if require_commit is None else require_commit
    if is_required and not dry_run:
        _require_commit(application.source)
    if dry_run:
        plan = _preview(settings, application, permission)
        if plan_out is not None:
            write_plan(Path(plan_out), make_report(plan, application.source, applied=False))
        if plan.is_refused:
            return Refused.exit_code
        return EXIT_CHANGES_PENDING if plan.has_changes and detailed_exitcode else 0
    if plan_in is not None:
        expected = expect(read_plan(Path(plan_in)))
        plan = _apply(settings, application, permission, expected)
        return Refused.exit_code if plan.is_refused else 0
    asks = not yes and settings.format is Format.TEXT
    if asks and sys.stdin.isatty() and sys.stdout.isatty():
        plan = _apply_after_asking(settings, application, permission)
    else:
        plan = _apply(settings, application, permission)
    return Refused.exit_code if plan.is_refused else 0


def _refuse_options_of_the_apply(context: click.Context) -> None:
    for parameter in apply_command.params:
        if parameter.name is not None and context.params.get(parameter.name):
            raise click.UsageError(
                f"{parameter.opts[0]} before {context.invoked_subcommand!r} means nothing: "
                "it is an option of the apply"
            )


def _refuse_what_does_not_go_together(context: click.Context, settings: Settings) -> None:
    given = {name for name, value in context.params.items() if value}
    for name, option in (("detailed_exitcode", "--detailed-exitcode"), ("plan_out", "--plan-out")):
        if name in given and "dry_run" not in given:
            raise click.UsageError(f"{option} goes with --dry-run")
    if {"plan_in", "dry_run"} <= given:
        raise click.UsageError("--plan-in applies: it does not go with --dry-run")
    if settings.feature is not None:
        raise click.UsageError("--feature: the file is applied as a whole")
    settings.choose_format(Format.TEXT, Format.JSON, Format.MARKDOWN)


def _require_commit(source: "Source") -> None:
    if source.uncommitted:
        raise Refused(
            f"{source.file} has changes that are not committed; nothing was written; commit them"
        )


def _preview(settings: Settings, application: "Application", permission: "Permission") -> "Plan":
    from reconciler.reconcile import preview

    plan = preview(open_database(settings), application, permission)
    _show(settings, plan, application.source, Outcome.PREVIEWED)
    return plan


def _apply(
    settings: Settings,
    application: "Application",
    permission: "Permission",
    expected: "Expectation | None" = None,
) -> "Plan":
    from reconciler.reconcile import apply

    database = open_database(settings, to_write=True)
    applied = apply(database, application, permission, expected=expected)
    outcome = Outcome.REFUSED if applied.plan.is_refused else Outcome.APPLIED
    _show(settings, applied.plan, application.source, outcome)
    return applied.plan


def _apply_after_asking(
    settings: Settings, application: "Application", permission: "Permission"
) -> "Plan":
    """Show the plan, ask, and apply exactly that plan."""
    from reconciler.reconcile import apply, preview

    database = open_database(settings, to_write=True)
    plan = preview(database, application, permission)
    if plan.is_refused or not plan.has_changes:
        return _apply(settings, application, permission)
    _show(settings, plan, application.source, Outcome.PROPOSED)
    click.confirm("Apply this?", abort=True, err=True)
    shown = expect(make_report(plan, application.source, applied=False))
    applied = apply(database, application, permission, expected=shown)
    print_result(settings, summary(applied.plan, Outcome.APPLIED))
    return applied.plan


def _read_application(settings: Settings) -> "Application":
    from reconciler.database.applying import Application
    from reconciler.reconcile import read_source
    from reconciler.rollout_file import read_rollout_file

    document = read_rollout_file(settings.path)
    return Application(read_source(document), document.rollout, applied_by=who_acts())


def _show(settings: Settings, plan: "Plan", source: "Source", outcome: Outcome) -> None:
    match settings.format:
        case Format.JSON:
            report = make_report(plan, source, applied=outcome is Outcome.APPLIED)
            print_result(settings, report.model_dump_json(indent=2))
        case Format.MARKDOWN:
            from reconciler.cli.render.plan_markdown import plan_markdown

            print_result(settings, plan_markdown(plan, source, outcome))
        case Format.TEXT | Format.GITHUB:
            print_result(settings, plan_text(plan, source, outcome))
