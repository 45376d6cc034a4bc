"""`reconcile metrics`: record the outcome of a job, show and delete metrics."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.completion import complete_repositories
from reconciler.cli.context import choose_live_feature, open_database, reading
from reconciler.cli.options import Format, Settings, settings_of
from reconciler.cli.output import print_json, print_result, show_result
from reconciler.cli.render.text import Column, for_line, table
from reconciler.cli.types import Duration, Seconds, ShortName, Since
from reconciler.wording import count, counted, show_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.database.driver import AnyConnection
    from reconciler.database.metrics import MetricsWindow

_MAX_ERROR_LENGTH = 200
MAX_JOB_SIZE = 2**63 - 1
"""The largest size that the database stores."""
DEFAULT_LIMIT = 50
"""The default number of windows."""


@click.group("metrics", epilog="Example: reconcile metrics show --since 6h")
def command() -> None:
    """Jobs and errors: record the outcome of a job, show and delete metrics."""


@command.command(epilog="Example: reconcile metrics record acme/tools --processor github_actions")
@click.argument("repository", metavar="REPOSITORY", shell_complete=complete_repositories)
@click.option(
    "--processor",
    type=ShortName("processor"),
    required=True,
    metavar="NAME",
    help="The system that ran the job.",
)
@click.option("--failed", is_flag=True, help="The job failed; without it the job succeeded.")
@click.option("--seconds", type=Seconds(), metavar="S", help="The seconds that the job took.")
@click.option("--error", metavar="TEXT", help="With --failed: the error message.")
@click.option(
    "--kind",
    type=ShortName("kind of job"),
    metavar="NAME",
    help="The kind of the job, such as pull_requests.",
)
@click.option(
    "--size",
    type=click.IntRange(0, MAX_JOB_SIZE),
    metavar="N",
    help="The size of the job, such as its number of pull requests.",
)
@click.pass_context
def record(
    context: click.Context,
    *,
    repository: str,
    processor: str,
    failed: bool,
    seconds: float | None,
    error: str | None,
    kind: str | None,
    size: int | None,
) -> None:
    """Record the outcome of one job of a repository (owner/name or id)."""
    if error is not None and not failed:
        raise click.UsageError("--error needs --failed")
    from reconciler.database.metrics import Job, record_job
    from reconciler.database.repositories import find_repository
    from reconciler.database.schema import require_newest
    from reconciler.database.transactions import write_transaction

    settings = settings_of(context)
    chosen = settings.choose_format(Format.TEXT, Format.JSON)
    # Text in Postgres cannot hold NUL.
    message = None if error is None else error.replace("\0", " ")

    def record_one(connection: "AnyConnection") -> tuple[str, str]:
        require_newest(connection)
        feature = choose_live_feature(settings, connection)
        found = find_repository(connection, repository)
        job = Job(
            found.id,
            processor,
            succeeded=not failed,
            seconds=seconds,
            error=message,
            kind=kind,
            size=size,
        )
        record_job(connection, feature, job)
        return feature, found.full_name

    feature, name = write_transaction(open_database(settings, to_write=True), record_one)
    if chosen is Format.JSON:
        print_json(settings, {"feature": feature, "repository": name, "succeeded": not failed})
    else:
        outcome = "failed" if failed else "succeeded"
        print_result(settings, f"{for_line(feature)}: a job of {for_line(name)} {outcome}")


@command.command(epilog="Example: reconcile metrics show --since 6h")
@click.option(
    "--since",
    type=Since(),
    metavar="TIME",
    help="Only windows since a time, or since 6h (6 hours ago); default: the feature's own window.",
)
@click.option(
    "--limit",
    type=click.IntRange(1, 100_000),
    default=DEFAULT_LIMIT,
    show_default=True,
    metavar="N",
    help="At most N windows.",
)
@click.pass_context
def show(context: click.Context, *, since: datetime | None, limit: int) -> None:
    """Show jobs and errors by window of five minutes and processor, the newest first."""
    show_windows(settings_of(context), since=since, limit=limit)


def show_windows(
    settings: Settings, *, since: datetime | None = None, limit: int = DEFAULT_LIMIT
) -> dict[str, Any]:
    """Print jobs and errors by window and processor, and return them."""
    from reconciler.database.metrics import read_windows

    settings.choose_format(Format.TEXT, Format.JSON)
    with reading(settings) as connection:
        feature = choose_live_feature(settings, connection)
        windows = read_windows(connection, feature, since=since, limit=limit)
    found = {"feature": feature, "windows": windows}
    return show_result(settings, found, lambda: _as_text(windows))


@command.command(epilog="Example: reconcile metrics prune --keep 90d")
@click.option(
    "--keep",
    type=Duration(),
    required=True,
    metavar="TIME",
    help="Delete windows that ended longer ago than this, such as 90d.",
)
@click.pass_context
def prune(context: click.Context, *, keep: timedelta) -> None:
    """Delete old windows; those inside a feature's own window stay."""
    from reconciler.database.metrics import prune_metrics
    from reconciler.database.schema import require_newest
    from reconciler.database.transactions import write_transaction

    settings = settings_of(context)
    chosen = settings.choose_format(Format.TEXT, Format.JSON)

    def prune_all(connection: "AnyConnection") -> int:
        require_newest(connection)
        return prune_metrics(connection, keep)

    pruned = write_transaction(open_database(settings, to_write=True), prune_all)
    if chosen is Format.JSON:
        print_json(settings, {"pruned": pruned})
    else:
        print_result(settings, f"{counted(pruned, 'row')} deleted")


def _as_text(windows: "Sequence[MetricsWindow]") -> str:
    if not windows:
        return "no job is recorded in this time"
    columns = (
        Column("window"),
        Column("processor"),
        Column("repositories", right=True),
        Column("jobs", right=True),
        Column("errors", right=True),
        Column("rate", right=True),
        Column("seconds", right=True),
        Column("last error"),
    )
    return table(columns, map(_row, windows))


def _row(window: "MetricsWindow") -> tuple[str, ...]:
    rate = f"{100 * window.errors / window.jobs:.2f} %" if window.jobs else "-"
    error = for_line(window.last_error or "-")
    return (
        show_time(window.begins_at),
        for_line(window.processor),
        count(window.repositories),
        count(window.jobs),
        count(window.errors),
        rate,
        "-" if window.mean_seconds is None else f"{window.mean_seconds:,.2f}",
        error if len(error) <= _MAX_ERROR_LENGTH else f"{error[: _MAX_ERROR_LENGTH - 1]}…",
    )
