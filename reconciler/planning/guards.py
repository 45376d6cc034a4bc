"""Guards: named reasons to refuse a plan that is valid but risky.

Each guard checks one feature's change and returns findings with their numbers; it has no side
effects. A finding makes its own sentence; the plan decides whether it is allowed. Narrowing is
always allowed, so no guard refuses a change that only narrows.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Final

from reconciler.planning.feature_config import LIST_FIELDS, Configuration
from reconciler.planning.guard_names import Allowed, GuardName
from reconciler.planning.live_state import Directory
from reconciler.rollout_file.list_entries import entry_key
from reconciler.rollout_file.model import Guards
from reconciler.wording import show_number
from rollout_client.targeting.strategy import Strategy

_LISTS: Final = frozenset({"whitelist", "exclusions"})
_AUDIENCE: Final = frozenset({"active", "strategy", "percentage", "salt", "bucketing", "override"})
CHECKED_FIELDS: Final[Mapping[GuardName, frozenset[str]]] = {
    GuardName.MAX_INCREASE: _AUDIENCE,
    GuardName.SOAK: _AUDIENCE | {"progression"},
    GuardName.MAX_GAIN: _AUDIENCE | _LISTS,
    GuardName.AUDIENCE_MOVED: _AUDIENCE,
    GuardName.MAX_REMOVAL: _LISTS,
    GuardName.LIST_EMPTIED: _LISTS,
    GuardName.NAME_REUSED: _LISTS,
    GuardName.FEATURE_REMOVED: frozenset(),
    GuardName.MARK_RESTORED: frozenset(),
    GuardName.FREEZE: _AUDIENCE | _LISTS,
    GuardName.NOT_BEFORE: _AUDIENCE | {"progression"},
    GuardName.MAX_SHIFT: frozenset({"routing", "processor", "fallback"}),
    GuardName.FIRST_APPLY: _AUDIENCE | _LISTS,
    # No commit allows it: a change would approve itself.
    GuardName.APPROVAL: frozenset(),
}
"""The fields of a feature that a guard checks; a new or removed feature changes all of them."""

MAX_MOVED_PERCENT: Final = 1
MIN_MOVED: Final = 10
"""This number of repositories, or this share of all, may move without a finding at the same percentage."""

MOST_NAMES: Final = 5
"""How many names one message shows."""

MIN_ENTRIES_FOR_REMOVAL: Final = 10
"""In a shorter list any removal is a large share, so the share is not checked."""


def read_allowed(text: str) -> tuple[tuple[Allowed, ...], tuple[str, ...]]:
    """Return the permissions in a value of the trailer `Rollout-Allow`, and the names of no guard.

    A value has guards, separated by commas, in any case, each with or without a feature's name:
    `max-increase`, `max-increase search, soak`. Text after `#` or in parentheses is a comment, and
    quotation marks or backticks around a name do not count.
    """
    allowed, unknown = [], []
    for part in re.sub(r"#.*|\([^)]*\)", "", text).split(","):
        match [word.strip("\"'`") for word in part.split()]:
            case []:
                continue
            case [name, *feature] if name.lower() in set(GuardName) and len(feature) <= 1:
                allowed.append(Allowed(GuardName(name.lower()), feature[0] if feature else None))
            case _:
                unknown.append(part.strip())
    return tuple(allowed), tuple(unknown)


class Finding(ABC):
    """The part that every finding has."""

    __slots__ = ()
    guard: ClassVar[GuardName]

    @property
    @abstractmethod
    def message(self) -> str:
        """The change and its numbers, in a sentence."""

    @property
    def holds_at(self) -> datetime | None:
        """The time from which the change is allowed by itself; None if more than time is missing."""
        return None

    @property
    def is_temporary(self) -> bool:
        """Whether a later apply of the same file may be allowed without a person."""
        return self.holds_at is not None


@dataclass(frozen=True, slots=True)
class TooMuchIncrease(Finding):
    """More percentage points at once than the file allows."""

    guard: ClassVar = GuardName.MAX_INCREASE
    before: Decimal
    after: Decimal
    most: Decimal

    @property
    def message(self) -> str:
        """The percentages before and after, and their difference."""
        points = show_number(self.after - self.before)
        return (
            f"percentage {show_number(self.before)} → {show_number(self.after)} is {points} points "
            f"at once, at most {show_number(self.most)} are allowed"
        )


@dataclass(frozen=True, slots=True)
class TooMuchRemoval(Finding):
    """A larger share of a list removed at once than the file allows."""

    guard: ClassVar = GuardName.MAX_REMOVAL
    list_name: str
    removed: int
    existing: int
    most: Decimal

    @property
    def message(self) -> str:
        """The number of removed entries and of all entries."""
        share = show_number(round(Decimal(100 * self.removed) / self.existing, 1))
        return (
            f"{self.removed:,} of {self.existing:,} entries of {self.list_name} are removed at once, "
            f"{share} %, at most {show_number(self.most)} % are allowed"
        )


@dataclass(frozen=True, slots=True)
class ListEmptied(Finding):
    """A list with entries becomes empty."""

    guard: ClassVar = GuardName.LIST_EMPTIED
    list_name: str
    existing: int

    @property
    def message(self) -> str:
        """The number of entries before."""
        entries = (
            "its one entry is removed"
            if self.existing == 1
            else f"all {self.existing:,} entries are removed"
        )
        return f"{self.list_name} would be empty: {entries}"


@dataclass(frozen=True, slots=True)
class FeatureRemoved(Finding):
    """A live feature is no longer in the file."""

    guard: ClassVar = GuardName.FEATURE_REMOVED

    @property
    def message(self) -> str:
        """The consequence."""
        return "the file no longer has this feature: it would be deactivated for all repositories"


@dataclass(frozen=True, slots=True)
class TooMuchGain(Finding):
    """More repositories gain the feature at once than the file allows."""

    guard: ClassVar = GuardName.MAX_GAIN
    gained: int
    most: int

    @property
    def message(self) -> str:
        """The number of repositories."""
        return f"{self.gained:,} repositories would gain at once, at most {self.most:,} are allowed"


@dataclass(frozen=True, slots=True)
class AudienceMoved(Finding):
    """Another salt, strategy or threshold chooses other repositories at the same percentage."""

    guard: ClassVar = GuardName.AUDIENCE_MOVED
    gained: int
    lost: int
    repositories: int

    @property
    def message(self) -> str:
        """The numbers of repositories that gain and lose."""
        return (
            f"{self.gained:,} of {self.repositories:,} repositories would gain and {self.lost:,} would "
            f"lose, not because of the percentage; at most {MAX_MOVED_PERCENT} % or {MIN_MOVED} may "
            "move like this"
        )


@dataclass(frozen=True, slots=True)
class NameReused(Finding):
    """A name means another repository than at the last apply."""

    guard: ClassVar = GuardName.NAME_REUSED
    name: str
    before: str
    after: str

    @property
    def message(self) -> str:
        """The two ids."""
        return (
            f"{self.name} was the repository {self.before} at the last apply and is {self.after} now: "
            "write the id of the repository that you want"
        )


@dataclass(frozen=True, slots=True)
class MarksRestored(Finding):
    """Marks as test that SQL removed would be set again."""

    guard: ClassVar = GuardName.MARK_RESTORED
    names: tuple[str, ...]

    @property
    def message(self) -> str:
        """The repositories, and how to keep the removal."""
        shown = ", ".join(self.names[:MOST_NAMES])
        more = f" and {len(self.names) - MOST_NAMES:,} more" if len(self.names) > MOST_NAMES else ""
        return (
            f"SQL removed the mark as test of {shown}{more}, and this plan sets it again; to keep it "
            "removed, remove the entry from test_repositories"
        )


def guard_increase(
    before: Configuration | None, after: Configuration, guards: Guards
) -> Iterator[Finding]:
    """Refuse an increase by too many percentage points at once.

    The increase counts from 0 for a new feature, under strategy `whitelist`, and if the strategy or
    the bucketing changes: another strategy or bucketing with the same number has another audience.
    """
    counts_from_zero = (
        before is None
        or not before.active
        or before.strategy is Strategy.WHITELIST
        or before.strategy is not after.strategy
        or _draws_by_another_bucketing(before, after)
    )
    base = Decimal(0) if before is None or counts_from_zero else before.percentage
    lets_in = after.active and after.strategy is not Strategy.WHITELIST
    if lets_in and after.percentage - base > guards.max_increase:
        yield TooMuchIncrease(base, after.percentage, guards.max_increase)


def _draws_by_another_bucketing(before: Configuration, after: Configuration) -> bool:
    return after.strategy is Strategy.PERCENTAGE and before.bucketing is not after.bucketing


def guard_lists(
    before: Configuration, after: Configuration, guards: Guards, directory: Directory
) -> Iterator[Finding]:
    """Refuse an emptied list, and the removal of too large a share of a list.

    A name whose repository is known since then is not removed: it stays under its id.
    """
    for field in LIST_FIELDS:
        existing, remaining = field.read(before), field.read(after)
        removed = {key for key in existing - remaining if directory.ids.get(key) not in remaining}
        if existing and not remaining:
            yield ListEmptied(field.name, len(existing))
        elif len(existing) >= MIN_ENTRIES_FOR_REMOVAL and (
            100 * len(removed) > guards.max_removal * len(existing)
        ):
            yield TooMuchRemoval(field.name, len(removed), len(existing), guards.max_removal)


def guard_names(entries: Iterable[str], directory: Directory) -> Iterator[Finding]:
    """Refuse a name that means another repository than at the last apply."""
    if not directory.remembered:
        return
    for entry in entries:
        if directory.is_reused(entry):
            key = entry_key(entry)
            yield NameReused(entry, directory.remembered[key], directory.ids[key])


def guard_marks(restored: Mapping[str, str]) -> Iterator[Finding]:
    """Refuse to set marks as test that SQL removed, id → name."""
    if restored:
        yield MarksRestored(tuple(restored.values()))


def guard_gain(gained: int, guards: Guards) -> Iterator[Finding]:
    """Refuse a gain of too many repositories, if the file sets a limit."""
    if guards.max_gain is not None and gained > guards.max_gain:
        yield TooMuchGain(gained, guards.max_gain)


def guard_audience(
    before: Configuration, after: Configuration, *, gained: int, lost: int, repositories: int
) -> Iterator[Finding]:
    """Refuse a change of salt, strategy or thresholds that moves the audience in addition to the percentage.

    If the percentage increases, the repositories that lose are counted; if it decreases, those that
    gain. The caller asks only if such a change is planned, for a feature that is on before and
    after.
    """
    if after.percentage > before.percentage:
        moved = lost
    elif after.percentage < before.percentage:
        moved = gained
    else:
        moved = gained + lost
    is_large = moved > MIN_MOVED and 100 * moved > MAX_MOVED_PERCENT * repositories
    if gained and is_large:
        yield AudienceMoved(gained, lost, repositories)
