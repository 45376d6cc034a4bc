"""Delivering the messages of the outbox: each target by itself, one message at a time.

A row is claimed before its message is sent, and settled after the answer. A process that is killed in between
delays the message until the claim ends, and the next try has the same id.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from reconciler.database.driver import driver_error, execute
from reconciler.database.eligibility import read_participation
from reconciler.database.outbox import (
    Claimed,
    RowState,
    claim,
    prune,
    read_due,
    read_reason_by_hand,
    read_resolved_incidents,
    read_source_file,
    read_targets,
    settle,
)
from reconciler.database.transactions import Database, read_only_transaction, write_transaction
from reconciler.errors import ReconcilerError
from reconciler.notifications.outcome import Outcome, Result
from reconciler.notifications.sender import Sender
from reconciler.planning.notifications import (
    PATIENCE,
    Message,
    Notification,
    Surroundings,
    compose,
    retry_seconds,
)
from reconciler.rollout_file.characters import one_line
from reconciler.rollout_file.notifications import EventName, Severity, TargetKind
from rollout_client.backoff import with_jitter

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection

ENVIRONMENT: Final = "ROLLOUT_ENVIRONMENT"
DASHBOARD_URL: Final = "ROLLOUT_DASHBOARD_URL"
MAX_TEXT: Final = 1_000
_COUNT_TIMEOUT: Final = "2s"


@dataclass(frozen=True, slots=True)
class Tried:
    """One try of one message."""

    target: str
    message: Message
    state: RowState
    answer: str


@dataclass(slots=True)
class Deliverer:
    """Delivers messages; it has one thread for each target that has some."""

    database: Database
    sender: Sender
    confirm: Callable[[], None] = lambda: None
    """Called before a message is claimed; raises where this process is not the leader."""
    report: Callable[[Tried], None] = lambda _tried: None
    """Called after each try, from several threads."""
    _threads: dict[str, Thread] = field(default_factory=dict)

    def start(self) -> None:
        """Start to deliver the messages that are due now, except to targets whose thread is still busy.

        Raises:
            ReconcilerError: the database does not answer.
        """
        with read_only_transaction(self.database) as connection:
            due = read_due(connection)
        for target in due.targets:
            running = self._threads.get(target)
            if running is not None and running.is_alive():
                continue
            assert due.at is not None  # noqa: S101 - there is a target
            thread = Thread(
                target=self._deliver_all,
                args=(target, due.at),
                name=f"notify-{target}",
                daemon=True,
            )
            self._threads[target] = thread
            thread.start()

    def wait(self, seconds: float | None = None) -> None:
        """Wait for the running threads, each at most `seconds`; the next call delivers the rest."""
        for thread in list(self._threads.values()):
            thread.join(seconds)

    def prune(self) -> int:
        """Delete some old rows; return their number."""
        return write_transaction(self.database, prune)

    def _deliver_all(self, target: str, until: datetime) -> None:
        try:
            while self._deliver_one(target, until):
                pass
        except ReconcilerError:
            # The database is away, or another process leads: claimed messages are tried again later.
            return

    def _deliver_one(self, target: str, until: datetime) -> bool:
        """Deliver a target's next message; return whether there was one."""
        self.confirm()
        claimed = write_transaction(self.database, lambda each: claim(each, target, until))
        if claimed is None:
            return False
        with read_only_transaction(self.database) as connection:
            kind, message = self._read(connection, claimed)
        if kind is None:
            outcome = Outcome(Result.REFUSED, "the rollout file has no such target")
        else:
            outcome = self.sender.send(target, kind, message)
        state, wait = self._decide(claimed, outcome)
        answer = one_line(outcome.answer, MAX_TEXT)
        write_transaction(
            self.database, lambda each: settle(each, claimed, state, answer, wait=wait)
        )
        self.report(Tried(target, message, state, answer))
        return True

    def _read(
        self, connection: "AnyConnection", claimed: Claimed
    ) -> tuple[TargetKind | None, Message]:
        target = read_targets(connection).get(claimed.rows[0].target)
        rows = [_for_people(_with_reason(connection, row)) for row in claimed.rows]
        resolved: Sequence[str] = ()
        if rows[0].event is EventName.RESUMED:
            resolved = read_resolved_incidents(connection, claimed)
        message = compose(claimed.message_id, rows, self._surroundings(connection, rows), resolved)
        return None if target is None else target.kind, message

    def _surroundings(
        self, connection: "AnyConnection", rows: Sequence[Notification]
    ) -> Surroundings:
        environment = self.sender.environment
        name = environment.get(ENVIRONMENT) or read_source_file(connection) or "rollout"
        eligible = {}
        if len(rows) == 1 and rows[0].feature is not None and rows[0].event in _COUNTED:
            eligible = _count_eligible(connection, rows[0].feature)
        return Surroundings(one_line(name, MAX_TEXT), environment.get(DASHBOARD_URL), eligible)

    def _decide(self, claimed: Claimed, outcome: Outcome) -> tuple[RowState, timedelta]:
        oldest = claimed.rows[0]
        match outcome.result:
            case Result.DELIVERED:
                return RowState.DELIVERED, timedelta(0)
            case Result.REFUSED:
                return RowState.DEAD, timedelta(0)
            case Result.AGAIN:
                # A receiver that asks for no wait, or for a time that is over, still gets a backoff.
                backoff = with_jitter(retry_seconds(oldest.attempts))
                wait = max(backoff, outcome.retry_after_seconds or 0.0)
                if claimed.now + timedelta(seconds=wait) - claimed.tried_since > PATIENCE:
                    return RowState.DEAD, timedelta(0)
                return RowState.PENDING, timedelta(seconds=wait)


_COUNTED: Final = frozenset(
    {EventName.ROLLED_BACK, EventName.STOPPED, EventName.RESUMED, EventName.PROMOTED}
)
"""The events whose message says how many repositories are eligible."""


def sample_message(environment: Mapping[str, str]) -> Message:
    """Return the message that `reconcile notify test` sends."""
    moment = datetime.now(UTC)
    return Message(
        id=uuid4(),
        event=EventName.APPLIED,
        severity=Severity.INFO,
        features=(),
        incidents=(f"test/{moment.timestamp():.0f}",),
        environment=one_line(environment.get(ENVIRONMENT) or "rollout", MAX_TEXT),
        title="a test: this receiver gets notifications of the rollout",
        facts=(("environment", one_line(environment.get(ENVIRONMENT) or "rollout", MAX_TEXT)),),
        next_command="reconcile notify list",
        link=environment.get(DASHBOARD_URL),
        at=moment,
        details=({},),
    )


def _count_eligible(connection: "AnyConnection", feature: str) -> dict[str, tuple[int, int]]:
    # A page must not wait for the count of a million repositories.
    try:
        with connection.begin_nested():
            execute(connection, f"SET LOCAL statement_timeout = '{_COUNT_TIMEOUT}'")
            found = read_participation(connection, feature)
    except Exception as error:
        if driver_error(error) is None:
            raise
        return {}
    return {feature: (found.eligible, found.total)}


def _with_reason(connection: "AnyConnection", row: Notification) -> Notification:
    """Return a row with the reason that a person wrote after the change, in a transaction of its own."""
    if row.feature is None or row.event not in _COUNTED or row.details.get("reason") is not None:
        return row
    found = read_reason_by_hand(connection, row.feature, row.created_at)
    if found is None:
        return row
    reason, by = found
    return replace(row, details={**row.details, "reason": reason, "by": by or row.details["by"]})


def _for_people(row: Notification) -> Notification:
    """Return a row whose texts are one line each, without control characters."""
    details = {
        name: one_line(value, MAX_TEXT) if isinstance(value, str) else value
        for name, value in row.details.items()
    }
    return replace(
        row,
        details=details,
        feature=None if row.feature is None else one_line(row.feature, MAX_TEXT),
    )
