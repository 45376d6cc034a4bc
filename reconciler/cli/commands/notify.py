"""`reconcile notify`: the receivers of notifications, and the messages that wait for them."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from reconciler.cli.context import open_database, reading
from reconciler.cli.edit_command import Afterwards, edit_rollout, editing_options, exit_code
from reconciler.cli.options import Format, Settings, settings_of
from reconciler.cli.output import print_json, print_result, show_result
from reconciler.cli.render.text import Column, for_line, table
from reconciler.errors import NotFound
from reconciler.rollout_file.characters import cut
from reconciler.wording import count, counted, exact_time, show_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.notifications.delivery import Tried
    from reconciler.operations.edit import Edit
    from reconciler.planning.notifications import Notification
    from reconciler.rollout_file.model import Rollout
    from reconciler.rollout_file.notifications import Target

EXIT_NOT_DELIVERED = 1
DEFAULT_LIMIT = 50
MAX_DELIVERY_SECONDS = 60.0
_MAX_ANSWER = 60


@click.group("notify", epilog="Example: reconcile notify test oncall")
def command() -> None:
    """Notifications: test a receiver, list, retry and deliver messages, edit the receivers in the file."""


@command.command(epilog="Example: reconcile notify test oncall")
@click.argument("name", metavar="NAME")
@click.pass_context
def test(context: click.Context, *, name: str) -> int:
    """Send a sample to a receiver of the file, and print its answer.

    The address is in the environment: ROLLOUT_NOTIFY_<NAME>_URL, and _SECRET for a webhook or
    pagerduty.
    """
    from reconciler.notifications.delivery import sample_message
    from reconciler.notifications.outcome import Result
    from reconciler.notifications.sender import sender_of_this_process
    from reconciler.rollout_file import read_rollout_file

    settings = settings_of(context)
    chosen = settings.choose_format(Format.TEXT, Format.JSON)
    target = _target(settings, read_rollout_file(settings.path).rollout, name)
    sender = sender_of_this_process()
    outcome = sender.send(name, target.kind, sample_message(sender.environment))
    is_delivered = outcome.result is Result.DELIVERED
    if chosen is Format.JSON:
        print_json(settings, {"target": name, "delivered": is_delivered, "answer": outcome.answer})
    else:
        said = "delivered" if is_delivered else "not delivered"
        print_result(settings, for_line(f"{name}: {said}: {outcome.answer}"))
    return 0 if is_delivered else EXIT_NOT_DELIVERED


@command.command("list", epilog="Example: reconcile notify list --state dead")
@click.option(
    "--state",
    type=click.Choice(["pending", "delivered", "dead"]),
    help="Only the messages in this state.",
)
@click.option(
    "--limit",
    type=click.IntRange(1, 100_000),
    default=DEFAULT_LIMIT,
    show_default=True,
    metavar="N",
    help="At most N messages.",
)
@click.pass_context
def list_(context: click.Context, *, state: str | None, limit: int) -> None:
    """List messages, the newest first: time, receiver, event, state and the receiver's last answer."""
    from reconciler.database.outbox import RowState, read_notifications

    settings = settings_of(context)
    settings.choose_format(Format.TEXT, Format.JSON)
    with reading(settings) as connection:
        rows = read_notifications(
            connection,
            state=None if state is None else RowState(state),
            feature=settings.feature,
            limit=limit,
        )
    found = {"notifications": [_as_json(each) for each in rows]}
    show_result(settings, found, lambda: _as_text(rows))


@command.command(epilog="Example: reconcile notify retry")
@click.argument("ids", metavar="[ID]...", nargs=-1, type=click.UUID)
@click.pass_context
def retry(context: click.Context, *, ids: tuple[UUID, ...]) -> None:
    """Try dead and waiting messages again for 24 hours: those with these ids, or all."""
    from reconciler.database.outbox import retry as make_due
    from reconciler.database.schema import require_newest
    from reconciler.database.transactions import write_transaction

    settings = settings_of(context)
    chosen = settings.choose_format(Format.TEXT, Format.JSON)

    def make_all_due(connection: Any) -> int:
        require_newest(connection)
        return make_due(connection, ids or None)

    number = write_transaction(open_database(settings, to_write=True), make_all_due)
    if chosen is Format.JSON:
        print_json(settings, {"retried": number})
        return
    print_result(settings, f"{counted(number, 'message')} will be tried again")
    if number:
        settings.inform(f"Next: {settings.program} notify deliver, where no watch is running")


@command.command(epilog="Example: reconcile notify deliver")
@click.pass_context
def deliver(context: click.Context) -> int:
    """Send each message once whose next try is due, for a workflow or cron without a running watch.

    Exits with 1 if a receiver refused a message or did not answer.
    """
    from reconciler.database.outbox import RowState
    from reconciler.database.schema import require_newest
    from reconciler.database.transactions import read_only_transaction
    from reconciler.notifications.delivery import Deliverer
    from reconciler.notifications.recorder import Recorder
    from reconciler.notifications.sender import sender_of_this_process

    settings = settings_of(context)
    chosen = settings.choose_format(Format.TEXT, Format.JSON)
    database = open_database(settings, to_write=True)
    with read_only_transaction(database) as connection:
        require_newest(connection)
    recorder = Recorder(database)
    recorder.look_for_stuck_overrides()
    recorder.look_for_an_absent_watch()
    tried: list[Tried] = []
    deliverer = Deliverer(database, sender_of_this_process(), report=tried.append)
    deliverer.start()
    deliverer.wait(MAX_DELIVERY_SECONDS)
    deliverer.prune()
    if chosen is Format.JSON:
        print_json(settings, {"messages": [_tried_as_json(each) for each in tried]})
    else:
        lines = [
            for_line(f"{each.target}: {each.message.title}: {each.state}: {each.answer}")
            for each in tried
        ]
        print_result(settings, "\n".join(lines) or "no message is due now")
    is_done = all(each.state is RowState.DELIVERED for each in tried)
    return 0 if is_done else EXIT_NOT_DELIVERED


@command.command(epilog="Example: reconcile notify add team --kind slack --severity page")
@click.argument("name", metavar="NAME")
@click.option("--kind", required=True, metavar="KIND", help="slack, teams, pagerduty, webhook, …")
@click.option("--event", "events", multiple=True, metavar="NAME", help="Only this event.")
@click.option("--severity", "severities", multiple=True, metavar="NAME", help="Only this severity.")
@click.option("--only", "features", multiple=True, metavar="FEATURE", help="Only this feature.")
@editing_options
@click.pass_context
def add(
    context: click.Context,
    /,
    *,
    name: str,
    kind: str,
    events: tuple[str, ...],
    severities: tuple[str, ...],
    features: tuple[str, ...],
    **options: Any,
) -> int:
    """Add a receiver to the file, or replace the receiver that has this name."""
    from reconciler.operations.edit import set_target

    lists = {"events": events, "severities": severities, "features": features}

    def edit(rollout: "Rollout", content: bytes) -> "Edit":
        return set_target(content, rollout, name, kind, lists)

    return exit_code(edit_rollout(settings_of(context), edit, Afterwards.make(**options)))


@command.command(epilog="Example: reconcile notify remove team --commit")
@click.argument("name", metavar="NAME")
@editing_options
@click.pass_context
def remove(context: click.Context, /, *, name: str, **options: Any) -> int:
    """Remove a receiver from the file."""
    from reconciler.operations.edit import remove_target

    settings = settings_of(context)

    def edit(rollout: "Rollout", content: bytes) -> "Edit":
        _target(settings, rollout, name)
        return remove_target(content, name)

    return exit_code(edit_rollout(settings, edit, Afterwards.make(**options)))


def _target(settings: Settings, rollout: "Rollout", name: str) -> "Target":
    found = rollout.notifications.get(name)
    if found is None:
        known = ", ".join(rollout.notifications) or "none"
        raise NotFound(
            f"{settings.file} has no receiver {cut(name)}; it has: {known}; "
            f"add one: {settings.program} notify add NAME --kind slack"
        )
    return found


def _as_json(row: "Notification") -> dict[str, Any]:
    return {
        "id": row.id,
        "at": exact_time(row.created_at),
        "target": row.target,
        "event": row.event,
        "severity": row.severity,
        "feature": row.feature,
        "incident": row.dedup_key,
        "state": row.state,
        "attempts": row.attempts,
        "last_answer": row.last_answer,
        "next_try_at": None if row.next_try_at is None else exact_time(row.next_try_at),
        "details": row.details,
    }


def _tried_as_json(tried: "Tried") -> dict[str, Any]:
    return {
        "id": tried.message.id,
        "target": tried.target,
        "event": tried.message.event,
        "title": tried.message.title,
        "state": tried.state,
        "answer": tried.answer,
    }


def _as_text(rows: "Sequence[Notification]") -> str:
    if not rows:
        return "there are no messages"
    columns = (
        Column("at"),
        Column("target"),
        Column("event"),
        Column("feature"),
        Column("state"),
        Column("tries", right=True),
        Column("answer"),
    )
    return table(columns, map(_row, rows))


def _row(row: "Notification") -> tuple[str, ...]:
    return (
        show_time(row.created_at),
        for_line(row.target),
        row.event,
        for_line(row.feature or "-"),
        row.state,
        count(row.attempts),
        _cut_answer(for_line(row.last_answer or "-")),
    )


def _cut_answer(answer: str) -> str:
    return answer if len(answer) <= _MAX_ANSWER else f"{answer[: _MAX_ANSWER - 1]}…"
