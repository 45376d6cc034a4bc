"""A listener that records the events for which the database has no trigger."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any, Final
from uuid import uuid4

from reconciler.database.lease import WATCH_LEASE
from reconciler.database.outbox import (
    read_absent_since,
    read_stuck_overrides,
    record_event,
)
from reconciler.database.transactions import Database, read_only_transaction, write_transaction
from reconciler.errors import ReconcilerError
from reconciler.operations.events import (
    BecameActive,
    CommitNotApplied,
    Event,
    EvidenceRose,
    FreezeOverridden,
    OverrideRestored,
    PromotionReady,
    SharedOutage,
)
from reconciler.operations.listeners import Emit, emit_to
from reconciler.rollout_file.notifications import EventName
from reconciler.wording import exact_time, show_number

STUCK: Final = timedelta(minutes=10)
"""An override that git does not show after this time is reported."""
ABSENT: Final = timedelta(minutes=5)
"""A watch without a lease holder for this time is reported."""


@dataclass(frozen=True, slots=True)
class _Occurrence:
    event: EventName
    feature: str | None
    name: str
    """The same occurrence is recorded once."""
    details: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(slots=True)
class Recorder:
    """Writes events into the outbox, once for each occurrence; safe to use from several threads."""

    database: Database
    _waiting: dict[_Occurrence, None] = field(default_factory=dict)
    _recorded: set[_Occurrence] = field(default_factory=set)
    _lock: Lock = field(default_factory=Lock)

    def record(self, event: Event) -> None:
        """Record an event where targets can receive it; after an error the event waits for `flush`."""
        match event:
            case CommitNotApplied(commit, why):
                name = EventName.DRIFT_HELD if event.is_held else EventName.REFUSED
                self._add(_Occurrence(name, None, commit, {"commit": commit, "reason": why}))
            case PromotionReady(feature, percentage, generation):
                after = show_number(percentage)
                self._add(
                    _Occurrence(
                        EventName.PROMOTION_READY,
                        feature,
                        f"{generation}/{after}",
                        {"after": after, "generation": generation},
                    )
                )
            case FreezeOverridden(feature, freeze, reason, by, generation):
                details = {"reason": reason, "by": by, "freeze": freeze, "generation": generation}
                self._add(_Occurrence(EventName.FREEZE_OVERRIDDEN, feature, str(uuid4()), details))
            case EvidenceRose(feature, evidence, fails_at, sentence):
                details = {"reason": sentence, "evidence": evidence, "fails_at": fails_at}
                self._add(_Occurrence(EventName.WARNING, feature, _this_hour(), details))
            case SharedOutage(feature, sentence):
                self._add(
                    _Occurrence(
                        EventName.SHARED_OUTAGE, feature, _this_hour(), {"reason": sentence}
                    )
                )
            case OverrideRestored(feature, override, witness):
                details = {
                    "reason": f"a failover or a restore lost it, and {witness} had it: {override.reason}",
                    "by": override.by,
                    "override": str(override.id),
                }
                # The database can lose the same override twice.
                self._add(_Occurrence(EventName.RESTORED, feature, str(uuid4()), details))
            case BecameActive():
                self._add(_Occurrence(EventName.RESUMED, None, str(uuid4())))
            case _:
                return
        # The database may be away: waiting events are written at a later tick.
        with suppress(ReconcilerError):
            self.flush()

    def look_for_stuck_overrides(self) -> None:
        """Record each override that git does not show after ten minutes."""
        with read_only_transaction(self.database) as connection:
            stuck = read_stuck_overrides(connection, STUCK)
        for each in stuck:
            reason = each.reason
            if each.proposed_branch is not None:
                reason = f"{reason}; merge {each.proposed_branch}"
            self._add(
                _Occurrence(
                    EventName.WRITE_BACK_STUCK,
                    each.feature,
                    str(each.id),
                    {"reason": reason, "by": each.by, "override": str(each.id)},
                )
            )
        self.flush()

    def look_for_an_absent_watch(self) -> None:
        """Record that no process has held the lease of the watch for five minutes, where one did before."""
        with read_only_transaction(self.database) as connection:
            since = read_absent_since(connection, WATCH_LEASE, ABSENT)
        if since is not None:
            moment = exact_time(since)
            details = {"reason": f"the last one ended or was lost at {moment}"}
            self._add(_Occurrence(EventName.WATCH_ABSENT, None, moment, details))
            self.flush()

    def flush(self) -> None:
        """Write the waiting events.

        Raises:
            ReconcilerError: the database does not take it; it still waits.
        """
        with self._lock:
            for each in list(self._waiting):
                self._write(each)
                del self._waiting[each]
                self._recorded.add(each)

    def _add(self, occurrence: _Occurrence) -> None:
        with self._lock:
            if occurrence not in self._recorded:
                self._waiting[occurrence] = None

    def _write(self, occurrence: _Occurrence) -> None:
        write_transaction(
            self.database,
            lambda each: record_event(
                each,
                occurrence.event,
                feature=occurrence.feature,
                occurrence=occurrence.name,
                details=occurrence.details,
            ),
        )


def emit_to_outbox(database: Database) -> Emit:
    """Return a function that records the events of an operation in the outbox."""
    return emit_to(Recorder(database).record)


def _this_hour() -> str:
    """Return the present hour: a watch that is started again and again reports a state once an hour."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H")
