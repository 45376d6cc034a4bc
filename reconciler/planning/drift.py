"""Drift: the changes of the live state since the last apply, and the effect of an apply on each.

The safer value wins until a person decides. A change that narrows by percentage, stop or activity
is kept as an override. A change that widens is reverted. Any other narrowing is held: it blocks
every apply until a person decides.
"""

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from itertools import count
from typing import Any
from uuid import UUID, uuid5

from reconciler.planning.exposure import Exposure, Limit
from reconciler.planning.feature_config import (
    LIST_FIELDS,
    SCALAR_FIELDS,
    Configuration,
    ListField,
    ScalarField,
)
from reconciler.planning.field_types import Direction
from reconciler.planning.live_state import Directory, LiveFeature
from reconciler.planning.overrides import KEPT_BY
from reconciler.rollout_file.override import Override
from reconciler.wording import count as show_count
from rollout_client.targeting.strategy import Strategy


class Decision(StrEnum):
    """The effect of a plan on one field's drift."""

    KEEP = "keep"
    """It narrows: it stays, as an override that write-back commits."""
    REVERT = "revert"
    """It widens, or does not change which repositories are eligible: it is reverted."""
    HOLD = "hold"
    """It narrows in a way that no override can express: a person decides."""
    ADOPT = "adopt"
    """A person decided: the file declares the live value, so it stays."""


@dataclass(frozen=True, slots=True)
class Drift:
    """One field whose live value differs from the last apply and the overrides since then."""

    field: ScalarField | ListField
    last_applied: Any
    live: Any
    decision: Decision


@dataclass(frozen=True, slots=True)
class AudienceChange:
    """How many repositories a live change adds and removes, counted by the database."""

    gained: int
    lost: int


def find_drift(
    expected: Configuration, live: Configuration, audience: Mapping[str, AudienceChange]
) -> tuple[Drift, ...]:
    """Return the drift of one feature, field by field.

    `audience` has, by a field's name, the effect of its change alone; only fields with the
    direction `BY_AUDIENCE` are looked up in it.
    """
    return (*_scalar_drift(expected, live, audience), *_list_drift(expected, live))


def reverted(live: Exposure, restored: Exposure) -> tuple[Drift, ...]:
    """Return the differences between a live exposure and the one that replaces it, as reverted drift."""
    names = {each.name for each in fields(Exposure)}
    return tuple(
        Drift(field, getattr(restored, field.name), getattr(live, field.name), Decision.REVERT)
        for field in SCALAR_FIELDS
        if field.name in names and getattr(restored, field.name) != getattr(live, field.name)
    )


def fields_judged_by_audience(
    expected: Configuration, live: Configuration
) -> tuple[ScalarField, ...]:
    """Return the fields that drifted and whose direction only the database can count."""
    return tuple(
        field
        for field in SCALAR_FIELDS
        if field.read(expected) != field.read(live)
        and field.direction(field.read(expected), field.read(live)) is Direction.BY_AUDIENCE
    )


def with_adopted(
    drift: tuple[Drift, ...], desired: Configuration, directory: Directory
) -> tuple[Drift, ...]:
    """Return the drift; a field that would be held is adopted if the file now declares its live value."""
    return tuple(
        replace(each, decision=Decision.ADOPT)
        if each.decision is Decision.HOLD and _is_asked_for(each, desired, directory)
        else each
        for each in drift
    )


def with_adopted_lists(before: Configuration, drift: tuple[Drift, ...]) -> Configuration:
    """Return the state from which guards of lists count: without the entries whose removal is adopted.

    An entry that is excluded live is not eligible, whether or not it is still in the whitelist.
    """
    adopted = {
        each.field.name: each.live
        for each in drift
        if each.decision is Decision.ADOPT and isinstance(each.field, ListField)
    }
    if not adopted:
        return before
    after = replace(before, **adopted)
    return replace(after, whitelist=after.whitelist - after.exclusions)


def _is_asked_for(drift: Drift, desired: Configuration, directory: Directory) -> bool:
    match drift.field:
        case ScalarField() as field:
            return bool(field.read(desired) == drift.live)
        case ListField() as field:
            # The repository of an entry that was live by its name may be known now.
            before, live = directory.keys(drift.last_applied), directory.keys(drift.live)
            declared: frozenset[str] = field.read(desired)
            return (
                before - live <= before - declared
                if field.adding is Direction.WIDENS
                else live - before <= declared
            )


def kept_limit(drift: tuple[Drift, ...]) -> Limit | None:
    """Return the narrowest limit of kept drift."""
    kept = [each for each in drift if each.decision is Decision.KEEP]
    if not kept:
        return None
    percentages = [each.live for each in kept if each.field.name == "percentage"]
    return Limit(percentages[0] if len(kept) == len(percentages) else None)


def kept_override(
    found: LiveFeature | None, drift: tuple[Drift, ...], generation: int, used: Container[UUID]
) -> Override | None:
    """Return the override that keeps narrowing drift; None if no drift is kept.

    Its id is the same for a preview and its apply, and differs between databases. `used` has the
    ids that git or the database knows: after a restore from a backup, a generation's number is used
    a second time.
    """
    limit = kept_limit(drift)
    if found is None or limit is None:
        return None
    changes = ", ".join(
        f"{each.field.column} {each.field.show(each.last_applied)} → {each.field.show(each.live)}"
        for each in drift
        if isinstance(each.field, ScalarField) and each.decision is Decision.KEEP
    )
    return Override(
        id=next(each for each in _ids(found.id, generation) if each not in used),
        percentage=limit.percentage,
        emergency_stop=True if limit.percentage is None else None,
        reason=f"changed in the database: {changes}",
        by=KEPT_BY,
        at=found.updated_at,
    )


def _ids(feature: UUID, generation: int) -> Iterator[UUID]:
    yield uuid5(feature, f"drift kept at generation {generation}")
    yield from (
        uuid5(feature, f"drift kept at generation {generation}, time {time}") for time in count(2)
    )


def without_drift(
    live: Configuration, drift: tuple[Drift, ...], expected: Configuration
) -> Configuration:
    """Return the live configuration once the drift that is reverted is undone."""
    reverted: dict[str, Any] = {
        each.field.name: each.field.read(expected)
        for each in drift
        if each.decision is Decision.REVERT
    }
    return replace(live, **reverted)


def reverted_by_resume(drift: Iterable[Drift], *, others_moved: bool) -> tuple[Drift, ...]:
    """Return the drift that a resume reverts: what adds repositories, beside the feature's exposure.

    The limit that ends has hidden it. The next apply holds the rest. But a strategy, salt or bucketing that
    narrows does so beside the lists, marks and thresholds of now, which can hide what it adds beside the last
    applied ones. So it is reverted too if anything else is.

    Args:
        drift: the feature's drift.
        others_moved: whether SQL also set marks or changed thresholds.
    """
    drift = tuple(drift)
    widening = tuple(_widening(drift))
    return (*widening, *_masked(drift)) if widening or others_moved else ()


def _widening(drift: Iterable[Drift]) -> Iterator[Drift]:
    """Yield the drift that adds repositories, and of a list only the entries that do."""
    for each in drift:
        match each.field:
            case ListField(adding=adding):
                restored = (
                    each.live & each.last_applied
                    if adding is Direction.WIDENS
                    else each.live | each.last_applied
                )
                if restored != each.live:
                    yield replace(each, last_applied=restored, decision=Decision.REVERT)
            case ScalarField(direction=direction):
                moves = direction(each.last_applied, each.live) is Direction.BY_AUDIENCE
                if moves and each.decision is Decision.REVERT:
                    yield each


def _masked(drift: Iterable[Drift]) -> Iterator[Drift]:
    """Yield a held strategy, salt or bucketing; the strategy `whitelist` adds no repository, so it stays."""
    for each in drift:
        is_by_audience = each.decision is Decision.HOLD and isinstance(each.field, ScalarField)
        if is_by_audience and each.live is not Strategy.WHITELIST:
            yield replace(each, decision=Decision.REVERT)


def _scalar_drift(
    expected: Configuration, live: Configuration, audience: Mapping[str, AudienceChange]
) -> Iterator[Drift]:
    for field in SCALAR_FIELDS:
        before, after = field.read(expected), field.read(live)
        if before != after:
            yield Drift(field, before, after, _decision(field, before, after, audience))


def _decision(
    field: ScalarField, before: Any, after: Any, audience: Mapping[str, AudienceChange]
) -> Decision:
    match field.direction(before, after):
        case Direction.NARROWS:
            return Decision.KEEP
        case Direction.WIDENS | Direction.NEITHER:
            return Decision.REVERT
        case Direction.BY_AUDIENCE:
            change = audience[field.name]
            only_narrows = change.lost > 0 and change.gained == 0
            return Decision.HOLD if only_narrows else Decision.REVERT


def _list_drift(expected: Configuration, live: Configuration) -> Iterator[Drift]:
    for field in LIST_FIELDS:
        before, after = field.read(expected), field.read(live)
        if before == after:
            continue
        narrowed = before - after if field.adding is Direction.WIDENS else after - before
        yield Drift(field, before, after, Decision.HOLD if narrowed else Decision.REVERT)


def describe_drift(drift: Drift) -> str:
    """Return a change of the live state, and the effect of an apply on it."""
    match drift.decision:
        case Decision.KEEP:
            fate = "the apply keeps it as an override, because it narrows the rollout"
        case Decision.REVERT:
            fate = "the apply reverts it"
        case Decision.HOLD:
            fate = (
                "it blocks every apply until a person decides: it narrows the rollout, and no "
                "override can express it"
            )
        case Decision.ADOPT:
            fate = "the apply keeps it, because the file has the same value"
    return f"{drift.field.column} {describe_change(drift)}, changed live by hand: {fate}"


def describe_change(drift: Drift) -> str:
    """Return the values of a scalar before and after, or how many entries of a list came and went."""
    match drift.field:
        case ScalarField():
            return f"{drift.field.show(drift.last_applied)} → {drift.field.show(drift.live)}"
        case ListField():
            gone, come = drift.last_applied - drift.live, drift.live - drift.last_applied
            counts = (("−", len(gone)), ("+", len(come)))
            return " ".join(f"{sign}{show_count(number)}" for sign, number in counts if number)
