"""`reconcile watch`: the safeguard as a resident process."""

import signal
from contextlib import contextmanager
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

import click

from reconciler.cli.context import actor, open_database
from reconciler.cli.metrics_source import choose_metrics_source, metrics_source_options
from reconciler.cli.options import Format, Settings, settings_of
from reconciler.cli.types import Duration, Interval, Listen
from reconciler.cli.write_back_report import is_written_back, write_back_option
from reconciler.invalid_requests import InvalidRequests

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta

    from reconciler.listen_address import ListenAddress
    from reconciler.watching.followed_branch import FollowedBranch
    from reconciler.watching.metrics import WatchMetrics
    from reconciler.watching.watch import Watch

EXIT_INTERRUPTED: Final = 128 + signal.SIGINT


@click.command(epilog="Example: reconcile watch --follow origin/main --listen 127.0.0.1:9464")
@click.option(
    "--interval",
    type=Interval(),
    default="5s",
    show_default=True,
    metavar="TIME",
    help="The time from one tick to the next: 5s, 500ms, 1m.",
)
@click.option(
    "--follow",
    metavar="REMOTE/BRANCH",
    help="Also apply new commits of this branch, such as origin/main.",
)
@click.option(
    "--listen",
    type=Listen(),
    metavar="HOST:PORT",
    help="Serve /livez, /readyz and /metrics here, such as 127.0.0.1:9464; port 0 takes a free one.",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="The format of the log on stderr.",
)
@click.option(
    "--keep-metrics",
    type=Duration(),
    metavar="TIME",
    help="Delete job metrics that are older than this, such as 90d; the default keeps all.",
)
@write_back_option()
@metrics_source_options
@click.pass_context
def command(
    context: click.Context,
    /,
    *,
    interval: float,
    follow: str | None,
    listen: "ListenAddress | None",
    log_format: str,
    keep_metrics: "timedelta | None",
    writes_back: bool | None,
    **metrics_options: str | None,
) -> int:
    """Judge health, roll back failing features and write back overrides, at each tick.

    If several watchers use one database, one is active, and the others stand by to take over.
    SIGTERM ends the watch between two ticks.
    """
    settings = settings_of(context)
    settings.choose_format(Format.TEXT)
    from reconciler.cli.watch_log import Log, LogFormat
    from reconciler.database.locks import wait_silently
    from reconciler.notifications.sender import sender_of_this_process
    from reconciler.watching.metrics import RollbackCounter, WatchMetrics
    from reconciler.watching.watch import Task, Watch

    # Only the log writes to stderr: a message between its lines would break its format.
    # It tries again by itself, and a signal ends it at once.
    database = replace(open_database(settings, to_write=True, waits=False), on_wait=wait_silently)
    task = Task(
        database=database,
        file=settings.path,
        interval_seconds=interval,
        features=() if settings.feature is None else (settings.feature,),
        metrics_source=choose_metrics_source(**metrics_options),
        followed=None if follow is None else _parse_branch(settings, follow),
        applied_by=actor(settings),
        keep_metrics=keep_metrics,
        writes_back=is_written_back(database, requested=writes_back),
        sender=sender_of_this_process(),
    )
    log = Log(LogFormat(log_format), quiet=settings.quiet, verbose=settings.verbose)
    rollbacks = RollbackCounter()
    endings = _endings()
    watcher = Watch(task, log.write_event, rollbacks.count)
    ended_by = signal.SIGTERM

    def wait(seconds: float) -> bool:
        nonlocal ended_by
        try:
            ended_by = endings.get(timeout=seconds)
        except Empty:
            return False
        return True

    invalid_requests = InvalidRequests(log.write_invalid_request)
    metrics = WatchMetrics(watcher, rollbacks)
    with _serving(watcher, metrics, listen, invalid_requests) as listening:
        served = "" if listening is None else f", serving http://{listening}"
        log.write_info(
            "started",
            f"every {interval:g}s{served}",
            interval_seconds=interval,
            listen=None if listening is None else str(listening),
        )
        watcher.run(wait)
    log.write_info("ended", f"by {ended_by.name}", signal=ended_by.name)
    return 0 if ended_by is signal.SIGTERM else EXIT_INTERRUPTED


@contextmanager
def _serving(
    watcher: "Watch",
    metrics: "WatchMetrics",
    address: "ListenAddress | None",
    invalid_requests: InvalidRequests,
) -> "Iterator[ListenAddress | None]":
    """Serve the status of a watch if an address is given; yield the address."""
    if address is None:
        yield None
        return
    from reconciler.watching.http import serving

    with serving(watcher, metrics, address, invalid_requests) as listening:
        yield listening


def _parse_branch(settings: Settings, text: str) -> "FollowedBranch":
    from reconciler.git.checkout import find_checkout
    from reconciler.watching.followed_branch import FollowedBranch

    return FollowedBranch.parse(find_checkout(settings.path), text)


def _endings() -> "SimpleQueue[signal.Signals]":
    """Return a queue of the signals that end the watch; a second signal ends it at once."""
    # `put` is safe within a signal handler; `set` of an event is not.
    endings: SimpleQueue[signal.Signals] = SimpleQueue()

    def ask(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        endings.put(signal.Signals(number))

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, ask)
    return endings
