"""`reconcile` without a command: plan, and apply or with `--dry-run` only preview."""

import click

from reconciler.cli.arguments import FILE
from reconciler.cli.choices import Name
from reconciler.cli.options import Format, Settings, settings_of
from reconciler.planning.guards import Allowed, GuardName


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
    type=Name(GuardName),
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
@click.option(
    "--no-write-back",
    is_flag=True,
    help="Leave git alone where drift that is kept makes an override.",
)
@click.option(
    "--plan-out", type=FILE, metavar="FILE", help="With --dry-run: save the plan as JSON."
)
@click.option(
    "--plan-in", type=FILE, metavar="FILE", help="Apply this saved plan and nothing else."
)
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
    no_write_back: bool,
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
    # Only now, and only here: commands below do not wait for what an apply imports.
    from reconciler.cli import apply_flow as applying

    request = applying.Request.make(
        settings,
        allowed=frozenset(Allowed(GuardName(each)) for each in allow),
        accept_history_rewrite=accept_history_rewrite,
        writes_back=not no_write_back,
    )
    if dry_run:
        return applying.preview(request, plan_out=plan_out, detailed_exitcode=detailed_exitcode)
    applying.require_commit(request, is_asked_for=require_commit)
    if plan_in is not None:
        return applying.apply_saved(request, plan_in)
    if yes or not applying.can_ask(settings):
        return applying.apply(request)
    return applying.apply_after_asking(request)


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
    settings.choose_format(*Format)
