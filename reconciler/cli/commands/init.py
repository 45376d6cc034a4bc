"""`reconcile init`: write a commented first rollout.yaml."""

import click

from reconciler.cli.options import Format, settings_of
from reconciler.cli.output import print_result
from reconciler.cli.render.text import for_line
from reconciler.errors import SetupInvalid


@click.command(epilog="Example: reconcile init && reconcile --dry-run")
@click.pass_context
def command(context: click.Context) -> None:
    """Write a first rollout.yaml with comments, in which no repository is eligible yet.

    Also write its JSON Schema beside it: an editor then completes and explains each key, also
    offline. An existing file is not overwritten.
    """
    from reconciler.rollout_file import SCHEMA_PATH, first_rollout_file, rollout_schema_text
    from rollout_client.atomic_write import create_file

    settings = settings_of(context)
    settings.choose_format(Format.TEXT)
    create_file(settings.path, first_rollout_file().encode(), instead="name another with --file")
    written = [settings.file]
    schema = settings.path.parent / SCHEMA_PATH
    if not schema.exists():
        try:
            schema.parent.mkdir(exist_ok=True)
            create_file(schema, rollout_schema_text().encode(), instead="it is used")
        except (OSError, SetupInvalid) as error:
            settings.warn(f"the schema {schema} is not written, so editors cannot use it: {error}")
        else:
            written.append(str(schema))
    verb = "is" if len(written) == 1 else "are"
    print_result(
        settings,
        f"{for_line(' and '.join(written))} {verb} written. Next: see its effect with "
        f"{for_line(settings.program)} --dry-run",
    )
