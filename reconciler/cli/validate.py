"""`reconcile validate`: check files without a database, for editors and pre-commit."""

from pathlib import Path

import click

from reconciler.cli.output import print_json, print_result
from reconciler.cli.render.escape import for_line
from reconciler.cli.settings import Format, settings_of
from reconciler.errors import FileInvalid


@click.command(epilog="Example: reconcile validate rollout.yaml other/rollout.yaml")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.pass_context
def validate(context: click.Context, files: tuple[str, ...]) -> int:
    """Check rollout files; every error of every file is told, with line and column."""
    from reconciler.rollout_file import read_rollout_file

    settings = settings_of(context)
    chosen = settings.choose_format(Format.TEXT, Format.JSON, Format.GITHUB)
    failures: list[FileInvalid] = []
    for file in files or (settings.file,):
        try:
            read_rollout_file(Path(file))
        except FileInvalid as invalid:
            failures.append(invalid)
        else:
            if chosen is not Format.JSON:
                print_result(settings, f"{for_line(file)}: valid")
    match chosen:
        case Format.JSON:
            print_json(settings, {"valid": not failures, "errors": list(map(_error, failures))})
        case Format.GITHUB:
            from reconciler.cli.workflow_output import annotate_errors

            annotate_errors(settings, failures)
        case _:
            for failure in failures:
                settings.complain(str(failure))
    return 1 if failures else 0


def _error(invalid: FileInvalid) -> dict[str, object]:
    return {
        "file": invalid.path,
        "findings": [
            {"line": each.line, "column": each.column, "message": each.message}
            for each in invalid.findings
        ],
    }
