"""`reconcile validate`: check files without a database, for editors and pre-commit."""

from pathlib import Path

import click

from reconciler.cli.options import Format, settings_of
from reconciler.cli.output import print_json, print_result
from reconciler.cli.render.text import for_line
from reconciler.cli.types import FILE
from reconciler.errors import FileInvalid, Finding, ReconcilerError


@click.command(epilog="Example: reconcile validate rollout.yaml other/rollout.yaml")
@click.argument("files", type=FILE, nargs=-1, metavar="[FILE]...")
@click.pass_context
def command(context: click.Context, files: tuple[str, ...]) -> int:
    """Check rollout files without a database; print every error of every file, with line and column."""
    from reconciler.rollout_file import read_rollout_file

    settings = settings_of(context)
    chosen = settings.choose_format(Format.TEXT, Format.JSON, Format.GITHUB)
    failures: list[tuple[str, ReconcilerError]] = []
    for file in files or (settings.file,):
        try:
            read_rollout_file(Path(file))
        except ReconcilerError as error:
            failures.append((file, error))
        else:
            if chosen is not Format.JSON:
                print_result(settings, f"{for_line(file)}: valid")
    match chosen:
        case Format.JSON:
            print_json(
                settings, {"valid": not failures, "errors": [_as_json(*each) for each in failures]}
            )
        case Format.GITHUB:
            from reconciler.cli.workflow_output import annotate_errors

            annotate_errors(settings, [failure for _, failure in failures])
        case _:
            for _, failure in failures:
                settings.show_error(failure)
    return 1 if failures else 0


def _as_json(file: str, error: ReconcilerError) -> dict[str, object]:
    """Return a file's errors; a file that cannot be read has one error, in its first line."""
    findings = error.findings if isinstance(error, FileInvalid) else (Finding(1, 1, str(error)),)
    return {"file": file, "findings": list(findings)}
