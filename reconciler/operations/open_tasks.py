"""Tasks that wait for a person, in sections, each with the command that completes it.

Reads only. Each section is read by itself: if one cannot be read, it has a problem, and the others
are complete.
"""

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Final

from reconciler.database.driver import execute
from reconciler.database.freezes import read_applied_freezes
from reconciler.database.open_tasks import read_refusals, read_undelivered
from reconciler.database.stages import read_ready_promotions
from reconciler.database.transactions import Database, read_only_transaction
from reconciler.database.write_back import read_pending
from reconciler.errors import ReconcilerError
from reconciler.operations.drift import read_drift, read_drift_causes, read_mark_drift
from reconciler.planning.drift import Decision, describe_drift
from reconciler.planning.freezes import Window, current, upcoming
from reconciler.planning.overrides import OverrideState, StoredOverride
from reconciler.wording import (
    counted,
    describe_limit,
    feature_option,
    short_commit,
    show_number,
)

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection

MOST_ITEMS: Final = 50
"""The items of a section that are listed."""
_TIME_LIMIT: Final = "5s"


class SectionName(StrEnum):
    """The subject of a section."""

    DRIFT = "drift"
    WRITE_BACK = "write_back"
    PROPOSALS = "proposals"
    REFUSED_APPLIES = "refused_applies"
    PROMOTIONS = "promotions"
    NOTIFICATIONS = "notifications"
    FREEZES = "freezes"


@dataclass(frozen=True, slots=True)
class WaitingItem:
    """One task."""

    sentence: str
    command: str
    """The command that completes it."""
    feature: str | None = None
    """None if it concerns no single feature."""
    since: datetime | None = None
    scope: str = "all"
    """The features that it concerns, in words, if `feature` is None."""


@dataclass(frozen=True, slots=True)
class TaskSection:
    """The tasks of one kind."""

    name: SectionName
    items: Sequence[WaitingItem] = ()
    has_more: bool = False
    """Whether there are more tasks than are listed."""
    problem: str | None = None
    """Why it could not be read; None if it was."""


def read_open_tasks(database: Database) -> tuple[TaskSection, ...]:
    """Return every section, in the order in which a person should look."""
    return tuple(_read(database, name) for name in SectionName)


def _read(database: Database, name: SectionName) -> TaskSection:
    try:
        found = list(islice(_items(database, name), MOST_ITEMS + 1))
    except ReconcilerError as error:
        return TaskSection(name, problem=str(error))
    return TaskSection(name, found[:MOST_ITEMS], has_more=len(found) > MOST_ITEMS)


def _items(database: Database, name: SectionName) -> Iterable[WaitingItem]:
    if name is SectionName.DRIFT:
        return _drift(database)
    return _within_limit(database, _READERS[name])


def _within_limit(
    database: Database, read: "Callable[[AnyConnection], Iterator[WaitingItem]]"
) -> Sequence[WaitingItem]:
    with read_only_transaction(database) as connection:
        execute(connection, f"SET LOCAL statement_timeout = '{_TIME_LIMIT}'")
        return list(islice(read(connection), MOST_ITEMS + 1))


def _drift(database: Database) -> Iterator[WaitingItem]:
    causes = read_drift_causes(database)
    for feature, drift in read_drift(database).items():
        cause = causes.get(feature)
        by = "" if cause is None else f"; by {cause.triggered_by or 'an unknown person'}"
        why = "" if cause is None or not cause.reason else f": {cause.reason}"
        for each in drift:
            is_held = each.decision is Decision.HOLD
            command = (
                f"reconcile drift revert {feature_option(feature)}" if is_held else "reconcile"
            )
            yield WaitingItem(
                f"{describe_drift(each)}{by}{why}",
                command,
                feature,
                None if cause is None else cause.created_at,
            )
    marks = read_mark_drift(database)
    for name in marks.set:
        yield WaitingItem(f"{name}: marked as test by hand", "reconcile")
    for name in marks.removed:
        yield WaitingItem(f"{name}: its mark as test was removed by hand", "reconcile")


def _pending(connection: "AnyConnection") -> Iterator[WaitingItem]:
    for feature, override, branch in _overrides(connection):
        if branch is None:
            yield WaitingItem(
                _describe_override(override), "reconcile write-back", feature, override.override.at
            )


def _proposals(connection: "AnyConnection") -> Iterator[WaitingItem]:
    for feature, override, branch in _overrides(connection):
        if branch is not None:
            sentence = (
                f"{_describe_override(override)}; the branch refuses pushes, so it is proposed"
            )
            command = f"git merge {shlex.quote(f'origin/{branch}')}"
            yield WaitingItem(f"{sentence}: merge {branch}", command, feature, override.override.at)


def _overrides(connection: "AnyConnection") -> Iterator[tuple[str, StoredOverride, str | None]]:
    for standing in read_pending(connection):
        for row in standing.rows:
            if row.id in standing.pending:
                yield standing.name, row, standing.proposed.get(row.id)


def _describe_override(row: StoredOverride) -> str:
    override = row.override
    limit = describe_limit(override.percentage)
    if row.state is OverrideState.OFF:
        return f"{limit} was resumed, and git may still have it ({override.by}: {override.reason})"
    return f"{limit} is not in git yet ({override.by}: {override.reason})"


def _refusals(connection: "AnyConnection") -> Iterator[WaitingItem]:
    for each in read_refusals(connection, most=MOST_ITEMS + 1):
        commit = "an apply" if each.commit is None else f"the apply of {short_commit(each.commit)}"
        is_held = each.event == "drift_held"
        why = f": {each.reason}" if each.reason else ""
        yield WaitingItem(
            f"{commit} was refused{why}",
            "reconcile drift" if is_held else "reconcile --dry-run",
            since=each.at,
        )


def _promotions(connection: "AnyConnection") -> Iterator[WaitingItem]:
    for each in read_ready_promotions(connection):
        after = show_number(each.next_percentage)
        yield WaitingItem(
            f"ready for stage {after}: {show_number(each.percentage)} → {after} percent",
            f"reconcile promote {feature_option(each.feature)}",
            each.feature,
            each.since,
        )


def _notifications(connection: "AnyConnection") -> Iterator[WaitingItem]:
    for each in read_undelivered(connection, most=MOST_ITEMS + 1):
        state = "no try will deliver it" if each.is_dead else "late"
        answer = f"; the last answer: {each.last_answer}" if each.last_answer else ""
        yield WaitingItem(
            f"{each.event.replace('_', ' ')} to {each.target}: {state}{answer}",
            f"reconcile notify retry {each.id}" if each.is_dead else "reconcile notify deliver",
            each.feature,
            each.at,
        )


def _freezes(connection: "AnyConnection") -> Iterator[WaitingItem]:
    applied = read_applied_freezes(connection)
    for each in current(applied.freezes, applied.now):
        yield _freeze(f"{each.freeze.name} holds until {each.shown_end}", each)
    for each in upcoming(applied.freezes, applied.now):
        yield _freeze(f"{each.freeze.name} comes next: {each.shown_times}", each)


def _freeze(sentence: str, window: Window) -> WaitingItem:
    features = window.freeze.features
    of = f"; features {', '.join(features)}" if features else ""
    scope = counted(len(features), "feature") if features else "all"
    return WaitingItem(f"{sentence}{of}", "reconcile freezes", since=window.begin, scope=scope)


_READERS: Final[Mapping[SectionName, Callable[["AnyConnection"], Iterator[WaitingItem]]]] = {
    SectionName.WRITE_BACK: _pending,
    SectionName.PROPOSALS: _proposals,
    SectionName.REFUSED_APPLIES: _refusals,
    SectionName.PROMOTIONS: _promotions,
    SectionName.NOTIFICATIONS: _notifications,
    SectionName.FREEZES: _freezes,
}
"""The sections that one short transaction reads; drift takes several."""
