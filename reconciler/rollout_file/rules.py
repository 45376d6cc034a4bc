"""Rules between values, which neither a type nor a schema can express.

Each rule looks at nodes, so that its message has both places. It ignores values that the model refuses.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from reconciler.errors import Finding
from reconciler.rollout_file.characters import cut, quoted
from reconciler.rollout_file.freeze_rules import freeze_findings
from reconciler.rollout_file.list_entries import entry_key, entry_keys
from reconciler.rollout_file.model import DEFAULT_FALLBACK, DEFAULT_PROCESSOR
from reconciler.rollout_file.nodes import (
    Items,
    KeyPath,
    Node,
    Place,
    Scalar,
    Table,
    finding_at,
    is_text,
    scalar_value,
)
from rollout_client.route import CHEAPEST

MOST_PERCENT = 100
MINUTES_LENGTH = len("2027-01-11 09:00")


@dataclass(frozen=True, slots=True)
class _Entries:
    """A list's texts in their order, and the first text of each key; both with their index in the list."""

    path: KeyPath
    all: list[tuple[int, Scalar]]
    firsts: dict[str, tuple[int, Scalar]]


def rule_findings(root: Node) -> Iterator[Finding]:
    """Return a finding for each contradiction between two values of the file."""
    if not isinstance(root, Table):
        return
    yield from _duplicates(_entries(root, "test_repositories", ()))
    yield from freeze_findings(root)
    yield from _over_without_owners(root.values.get("approvals"))
    features = root.values.get("features")
    if not isinstance(features, Table):
        return
    for name, feature in features.values.items():
        if isinstance(feature, Table):
            path = ("features", name)
            whitelist = _entries(feature, "whitelist", path)
            exclusions = _entries(feature, "exclusions", path)
            yield from _duplicates(whitelist)
            yield from _duplicates(exclusions)
            yield from _in_both(whitelist, exclusions)
            yield from _stages_that_do_not_rise(feature, path)
            yield from _zones_without_use(feature, path)
            yield from _override_limits(feature, path)
            yield from _routing_targets(feature, path, root.values.get("processors"))
            yield from _rules_without_jobs(feature, path)
    yield from _repeated_override_ids(features)


def _over_without_owners(approvals: Node | None) -> Iterator[Finding]:
    if not isinstance(approvals, Table) or "over" not in approvals.keys:
        return
    owners = approvals.values.get("code_owners")
    if owners is None or (isinstance(owners, Scalar) and scalar_value(owners) is False):
        message = "over is of code_owners; write code_owners: true, or remove over"
        yield finding_at(approvals.keys["over"], ("approvals", "over"), message)


def _entries(table: Table, key: str, path: KeyPath) -> _Entries:
    found = table.values.get(key)
    items = found.items if isinstance(found, Items) else []
    entries = [(index, each) for index, each in enumerate(items) if is_text(each)]
    keys = entry_keys(each.text for _, each in entries)
    # The last one of a key stays in a dictionary: from behind, that is the first.
    firsts = dict(zip(reversed(keys), reversed(entries), strict=True))
    return _Entries((*path, key), entries, firsts)


def _duplicates(entries: _Entries) -> Iterator[Finding]:
    if len(entries.firsts) == len(entries.all):
        return
    for index, entry in entries.all:
        first = entries.firsts[entry_key(entry.text)][1]
        if first is not entry:
            line = first.place.line
            message = f"duplicate entry {quoted(entry.text)}, also on line {line}; keep one"
            yield finding_at(entry.place, (*entries.path, index), message)


def _in_both(whitelist: _Entries, exclusions: _Entries) -> Iterator[Finding]:
    for key in whitelist.firsts.keys() & exclusions.firsts.keys():
        both = [(each.path, *each.firsts[key]) for each in (whitelist, exclusions)]
        (other, _, first), (path, index, entry) = sorted(both, key=lambda each: each[2].place)
        message = (
            f"{quoted(entry.text)} is also in {other[-1]}, on line {first.place.line}; "
            "keep it in one of the two"
        )
        yield finding_at(entry.place, (*path, index), message)


def _stages_that_do_not_rise(feature: Table, path: KeyPath) -> Iterator[Finding]:
    stages = feature.values.get("progression")
    if not isinstance(stages, Items):
        return
    before: Decimal | None = None
    for index, stage in enumerate(stages.items):
        found = _percentage(stage)
        if found is None or not found[0]:
            continue
        percentage, place = found
        if before is not None and percentage <= before:
            where = (*path, "progression", index, "percentage")
            message = f"{percentage} is not more than {before} of the stage before; write a higher percentage"
            yield finding_at(place, where, message)
        before = percentage


def _zones_without_use(feature: Table, path: KeyPath) -> Iterator[Finding]:
    stages = feature.values.get("progression")
    for index, stage in enumerate(stages.items if isinstance(stages, Items) else []):
        if not isinstance(stage, Table) or "zone" not in stage.values:
            continue
        start = stage.values.get("not_before")
        where, place = (*path, "progression", index, "zone"), stage.keys["zone"]
        if start is None:
            yield finding_at(
                place, where, "zone is of not_before; write not_before, or remove zone"
            )
        elif is_text(start) and start.text[MINUTES_LENGTH:]:
            offset = quoted(start.text[MINUTES_LENGTH:])
            message = f"not_before has the offset {offset}; remove one of the two"
            yield finding_at(place, where, message)


def _override_limits(feature: Table, path: KeyPath) -> Iterator[Finding]:
    override = feature.values.get("override")
    if not isinstance(override, Table):
        return
    path = (*path, "override")
    limits = override.keys.keys() & {"percentage", "emergency_stop"}
    if not limits:
        message = "percentage and emergency_stop are both missing; write one of the two"
        yield finding_at(feature.keys["override"], path, message)
    elif len(limits) > 1:
        later = max(override.keys[limit] for limit in limits)
        message = "percentage and emergency_stop are both written; keep one of the two"
        yield finding_at(later, path, message)


def _repeated_override_ids(features: Table) -> Iterator[Finding]:
    firsts: dict[str, tuple[str, Place]] = {}
    for name, feature in features.values.items():
        override = feature.values.get("override") if isinstance(feature, Table) else None
        value = override.values.get("id") if isinstance(override, Table) else None
        if not isinstance(override, Table) or not isinstance(value, Scalar) or not is_text(value):
            continue
        place = override.keys["id"]
        first, where = firsts.setdefault(value.text.lower(), (name, place))
        if where is not place:
            message = (
                f"the override {quoted(value.text)} also limits {quoted(first)}, on line {where.line}; "
                "an override has one feature: give each block an id of its own"
            )
            yield finding_at(place, ("features", name, "override", "id"), message)


def _routing_targets(feature: Table, path: KeyPath, prices: Node | None) -> Iterator[Finding]:
    processors = [
        value.text if value is not None and is_text(value) else default
        for key, default in (("processor", DEFAULT_PROCESSOR), ("fallback", DEFAULT_FALLBACK))
        for value in (feature.values.get(key),)
    ]
    for index, rule in enumerate(_rules(feature)):
        target = rule.values.get("to") if isinstance(rule, Table) else None
        if not isinstance(rule, Table) or target is None or not is_text(target):
            continue
        where = (*path, "routing", index)
        priced = prices.values.keys() if isinstance(prices, Table) else ()
        missing = [cut(each) for each in processors if each not in priced]
        if target.text == CHEAPEST and missing:
            message = f"{' and '.join(missing)} has no price; write it in processors"
            yield finding_at(rule.keys["to"], (*where, "to"), message)
        elif target.text not in (*processors, CHEAPEST):
            message = (
                f"{quoted(target.text)} is not a processor of this feature; write "
                f"{', '.join(map(cut, dict.fromkeys(processors)))} or {CHEAPEST}"
            )
            yield finding_at(rule.keys["to"], (*where, "to"), message)
        elif target.text != CHEAPEST and "if" in rule.keys:
            message = f"if belongs to a rule to {CHEAPEST}; remove it"
            yield finding_at(rule.keys["if"], (*where, "if"), message)
        targets = processors if target.text == CHEAPEST else [target.text]
        if _is_true(rule.values.get("spill")) and not _limited(prices) & set(targets):
            have = "have" if len(targets) > 1 else "has"
            message = (
                f"{' and '.join(map(cut, targets))} {have} no concurrency; write it in processors, "
                "or remove spill"
            )
            yield finding_at(rule.keys["spill"], (*where, "spill"), message)


def _is_true(value: Node | None) -> bool:
    return isinstance(value, Scalar) and scalar_value(value) is True


def _limited(prices: Node | None) -> set[str]:
    """Return the processors that have a limit."""
    if not isinstance(prices, Table):
        return set()
    return {
        name
        for name, each in prices.values.items()
        if isinstance(each, Table) and "concurrency" in each.keys
    }


def _rules_without_jobs(feature: Table, path: KeyPath) -> Iterator[Finding]:
    """Yield the first rule after one that takes every job."""
    before: Table | None = None
    for index, rule in enumerate(_rules(feature)):
        if before is not None:
            message = (
                f"the rule on line {before.place.line} takes every job, so this one takes none; "
                "move it up, or remove it"
            )
            yield finding_at(rule.place, (*path, "routing", index), message)
            return
        when = rule.values.get("when") if isinstance(rule, Table) else None
        if isinstance(rule, Table) and (
            when is None or (isinstance(when, Table) and not when.keys)
        ):
            before = rule


def _rules(feature: Table) -> list[Node]:
    found = feature.values.get("routing")
    return found.items if isinstance(found, Items) else []


def _percentage(node: Node) -> tuple[Decimal, Place] | None:
    """Return the percentage in a table and its key's place, unless the model refuses it by itself."""
    value = node.values.get("percentage") if isinstance(node, Table) else None
    if not isinstance(node, Table) or not isinstance(value, Scalar):
        return None
    number = scalar_value(value)
    if not isinstance(number, Decimal) or not 0 <= number <= MOST_PERCENT:
        return None
    return number, node.keys["percentage"]
