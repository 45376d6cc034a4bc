"""`reconcile` without a command: plan, and apply or with `--dry-run` only preview."""

from typing import Final

import click
from click.core import ParameterSource

from reconciler.cli.options import Format, Settings, settings_of
from reconciler.cli.types import FILE, Name, require_reason
from reconciler.cli.write_back_report import write_back_option
from reconciler.planning.guard_names import Allowed, GuardName

_WITH_REASON: Final = (GuardName.FREEZE, GuardName.APPROVAL)


@click.command(epilog="Example: reconcile --dry-run && reconcile")
@click.option("--dry-run", is_flag=True, help="Show what would change; write nothing.")
@click.option(
    "--detailed-exitcode", is_flag=True, help="With --dry-run: exit 2 if changes are pending."
)
@click.option("--yes", "-y", is_flag=True, help="Apply without a question.")
@click.option(
    "--allow",
    type=Name(GuardName),
    multiple=True,
    metavar="GUARD",
    help="Allow what this guard refuses; may be given several times.",
)
@click.option(
    "--reason",
    metavar="TEXT",
    help="With --allow freeze or --allow approval: the reason, for history.",
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
    help="Refuse a file with local changes; the default if CI is set.",
)
@write_back_option("With kept drift: write")
@click.option(
    "--plan-out", type=FILE, metavar="FILE", help="With --dry-run: save the plan as JSON."
)
@click.option("--plan-in", type=FILE, metavar="FILE", help="Apply exactly this saved plan.")
@click.pass_context
def command(
    context: click.Context,
    /,
    *,
    dry_run: bool,
    detailed_exitcode: bool,
    yes: bool,
    allow: tuple[str, ...],
    reason: str | None,
    accept_history_rewrite: bool,
    require_commit: bool | None,
    writes_back: bool | None,
    plan_out: str | None,
    plan_in: str | None,
) -> int:
    """Apply rollout.yaml to the database; with --dry-run only show the difference.

    Compares the file with the last apply and with the live state, and writes the difference and its
    history in one transaction. On a terminal it shows the plan and asks first.
    """
    if context.invoked_subcommand is not None:
        _refuse_options_of_the_apply(context)
        return 0
    settings = settings_of(context)
    _refuse_combinations(context, settings)
    # Imported here, so that other commands do not wait for it.
    from reconciler.cli import apply_flow
    from reconciler.operations.reconcile import Permission

    permission = Permission(_permissions(allow, reason), accept_history_rewrite)
    request = apply_flow.Request.make(settings, permission, writes_back=writes_back)
    if dry_run:
        return apply_flow.preview(request, plan_out=plan_out, detailed_exitcode=detailed_exitcode)
    apply_flow.require_commit(request, is_asked_for=require_commit)
    if plan_in is not None:
        return apply_flow.apply_saved(request, plan_in)
    if yes or not apply_flow.asks(settings):
        return apply_flow.apply(request)
    return apply_flow.apply_after_asking(request)


def _permissions(allow: tuple[str, ...], reason: str | None) -> frozenset[Allowed]:
    with_reason = [each for each in _WITH_REASON if each in allow]
    if (reason is not None) is not bool(with_reason):
        names = " or ".join(f"--allow {each}" for each in with_reason or _WITH_REASON)
        raise click.UsageError(f"{names} and --reason need each other")
    if reason is not None:
        require_reason(reason)
    guards = map(GuardName, allow)
    return frozenset(
        Allowed(each, reason=reason if each in _WITH_REASON else None) for each in guards
    )


def _refuse_options_of_the_apply(context: click.Context) -> None:
    for parameter in command.params:
        name = parameter.name or ""
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(
                f"{parameter.opts[0]} before {context.invoked_subcommand!r} has no effect: "
                "it is an option of the apply"
            )


def _refuse_combinations(context: click.Context, settings: Settings) -> None:
    given = {name for name, value in context.params.items() if value}
    for name, option in (("detailed_exitcode", "--detailed-exitcode"), ("plan_out", "--plan-out")):
        if name in given and "dry_run" not in given:
            raise click.UsageError(f"{option} needs --dry-run")
    if {"plan_in", "dry_run"} <= given:
        raise click.UsageError("--plan-in applies a plan; it cannot be used with --dry-run")
    if settings.feature is not None:
        raise click.UsageError("--feature cannot be used here: the file is applied as a whole")
    settings.choose_format(Format.TEXT, Format.JSON, Format.MARKDOWN, Format.GITHUB)
