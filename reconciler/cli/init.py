"""`reconcile init`: write a commented first rollout.yaml."""

import os

import click

from reconciler.cli.output import print_result
from reconciler.cli.render.escape import for_line
from reconciler.cli.settings import settings_of
from reconciler.errors import SetupInvalid


@click.command(epilog="Example: reconcile init && reconcile --dry-run")
@click.pass_context
def init(context: click.Context) -> None:
    """Write a commented first rollout.yaml, in which nobody is in yet; never over another file."""
    from reconciler.rollout_file import first_rollout_file

    settings = settings_of(context)
    try:
        descriptor = os.open(settings.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        raise SetupInvalid(
            f"{settings.file} is there already and stays as it is; name another with --file"
        ) from None
    except OSError as error:
        raise SetupInvalid(f"{settings.file} cannot be written: {error.strerror}") from error
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
        file.write(first_rollout_file())
    print_result(
        settings, f"{for_line(settings.file)} is written; see what it does: reconcile --dry-run"
    )
