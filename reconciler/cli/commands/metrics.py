"""`reconcile metrics`: report a job's outcome, see the figures, let go of old ones."""

import math
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.commands.history import Since
from reconciler.cli.context import choose_feature, open_database
from reconciler.cli.options import Format, settings_of
from reconciler.cli.output import print_json, print_result, show_result
from reconciler.cli.render.escape import for_line
from reconciler.cli.render.table import Column, table
from reconciler.wording import count, counted, show_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from reconciler.database.metrics import MetricsWindow

_ERROR_WIDTH = 40
_MAX_PROCESSOR_LENGTH = 50


class Duration(click.ParamType[timedelta]):
    """A time as the file writes it: `90s`, `15m`, `24h`, `7d`."""

    name = "duration"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """Return the time."""
        from reconciler.rollout_file.durations import parse_duration

        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Seconds(click.ParamType[float]):
    """A number of seconds from 0."""

    name = "seconds"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number; what is none, or not finite, is refused."""
        try:
            seconds = float(value)
        except ValueError:
            seconds = math.nan
        if not (math.isfinite(seconds) and seconds >= 0):
            self.fail(f"{value!r} is no time; write seconds from 0, such as 1.5", param, ctx)
        return seconds


class Processor(click.ParamType[str]):
    """What ran a job, such as `inngest`."""

    name = "processor"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name."""
        if not 1 <= len(value) <= _MAX_PROCESSOR_LENGTH or not value.isprintable():
            self.fail(
                f"{value!r} is no processor; write 1 to {_MAX_PROCESSOR_LENGTH} characters",
                param,
                ctx,
            )
        return value


@click.group(epilog="Example: reconcile metrics show --since 6h")
def metrics() -> None:
    """What jobs came to: report one, see the figures."""


@metrics.command(epilog="Example: reconcile metrics record acme/tools --processor github_actions")
@click.argument("repository", metavar="REPOSITORY")
@click.option(
    "--processor", type=Processor(), required=True, metavar="NAME", help="What ran the job."
)
@click.option("--failed", is_flag=True, help="The job failed; else it succeeded.")
@click.option("--seconds", type=Seconds(), metavar="S", help="How long the job took.")
@click.option("--error", metavar="TEXT", help="With --failed: what it said.")
@click.pass_context
def record(
    context: click.Context,
    *,
    repository: str,
    processor: str,
    failed: bool,
    seconds: float | None,
    error: str | None,
) -> None:
    """Count one job's outcome for a repository (owner/name or id)."""
    if error is not None and not failed:
        raise click.UsageError("--error goes with --failed")
    from reconciler.database.live_state import read_configurations
    from reconciler.database.metrics import Job, record_job
    from reconciler.database.repositories import find_repository
    from reconciler.database.schema import require_newest
    from reconciler.database.transactions import write_transaction

    settings = settings_of(context)
    chosen = settings.choose_format(Format.TEXT, Format.JSON)
    # No text in Postgres holds it.
    message = None if error is None else error.replace("\0", " ")

    def record_one(connection: "Connection") -> tuple[str, str]:
        require_newest(connection)
        feature = choose_feature(settings, read_configurations(connection))
        found = find_repository(connection, repository)
        job = Job(found.id, processor, succeeded=not failed, seconds=seconds, error=message)
        record_job(connection, feature, job)
        return feature, found.full_name

    feature, name = write_transaction(open_database(settings, to_write=True), record_one)
    if chosen is Format.JSON:
        print_json(settings, {"feature": feature, "repository": name, "succeeded": not failed})
    else:
        outcome = "failed" if failed else "succeeded"
        print_result(settings, f"{for_line(feature)}: a job of {for_line(name)} {outcome}")


@metrics.command(epilog="Example: reconcile metrics show --since 6h")
@click.option(
    "--since",
    type=Since(),
    metavar="TIME",
    help="A time, or how long ago: 6h; default the feature's own window.",
)
@click.option(
    "--limit",
    type=click.IntRange(1, 100_000),
    default=50,
    show_default=True,
    metavar="N",
    help="At most so many windows.",
)
@click.pass_context
def show(context: click.Context, *, since: datetime | None, limit: int) -> dict[str, Any]:
    """Show jobs and errors by window of five minutes and processor, the newest first."""
    from reconciler.database.live_state import read_configurations
    from reconciler.database.metrics import read_windows
    from reconciler.database.schema import require_newest
    from reconciler.database.transactions import read_only_transaction

    settings = settings_of(context)
    settings.choose_format(Format.TEXT, Format.JSON)
    with read_only_transaction(open_database(settings)) as connection:
        require_newest(connection)
        feature = choose_feature(settings, read_configurations(connection))
        windows = read_windows(connection, feature, since=since, limit=limit)
    found = {"feature": feature, "windows": windows}
    return show_result(settings, found, lambda: _listing(windows))


@metrics.command(epilog="Example: reconcile metrics prune --keep 90d")
@click.option(
    "--keep",
    type=Duration(),
    required=True,
    metavar="TIME",
    help="Windows that ended longer ago go: 90d.",
)
@click.pass_context
def prune(context: click.Context, *, keep: timedelta) -> None:
    """Delete old windows; what a feature's own window still reaches stays."""
    from reconciler.database.metrics import prune_metrics
    from reconciler.database.schema import require_newest
    from reconciler.database.transactions import write_transaction

    settings = settings_of(context)
    chosen = settings.choose_format(Format.TEXT, Format.JSON)

    def prune_all(connection: "Connection") -> int:
        require_newest(connection)
        return prune_metrics(connection, keep)

    pruned = write_transaction(open_database(settings, to_write=True), prune_all)
    if chosen is Format.JSON:
        print_json(settings, {"pruned": pruned})
    else:
        print_result(settings, f"{counted(pruned, 'row')} deleted")


def _listing(windows: "Sequence[MetricsWindow]") -> str:
    if not windows:
        return "no job was recorded"
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
        error if len(error) <= _ERROR_WIDTH else f"{error[: _ERROR_WIDTH - 1]}…",
    )
