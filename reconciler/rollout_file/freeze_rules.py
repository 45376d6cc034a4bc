"""Rules of `freezes:` between values: both times of one kind, in order, names once, features of the file."""

from collections.abc import Collection, Iterator

from reconciler.errors import Finding
from reconciler.rollout_file.characters import quoted
from reconciler.rollout_file.freezes import FreezeTime, WeekTime, parse_freeze_time
from reconciler.rollout_file.nodes import Items, KeyPath, Node, Table, finding_at, is_text
from reconciler.rollout_file.zones import format_wall_time


def freeze_findings(root: Table) -> Iterator[Finding]:
    """Return a finding for each freeze that contradicts itself, another one or the features of the file."""
    freezes = root.values.get("freezes")
    features = root.values.get("features")
    known = features.values.keys() if isinstance(features, Table) else frozenset[str]()
    lines: dict[str, int] = {}
    for index, freeze in enumerate(freezes.items if isinstance(freezes, Items) else []):
        if isinstance(freeze, Table):
            path = ("freezes", index)
            yield from _repeated_name(freeze, path, lines)
            yield from _times(freeze, path)
            yield from _unknown_features(freeze, path, known)


def _repeated_name(freeze: Table, path: KeyPath, lines: dict[str, int]) -> Iterator[Finding]:
    name = freeze.values.get("name")
    if not is_text(name):
        return
    first = lines.setdefault(name.text, name.place.line)
    if first != name.place.line:
        message = (
            f"{quoted(name.text)} is also the name of the freeze on line {first}; write another"
        )
        yield finding_at(name.place, (*path, "name"), message)


def _times(freeze: Table, path: KeyPath) -> Iterator[Finding]:
    begin, end = _time(freeze.values.get("from")), _time(freeze.values.get("to"))
    if begin is None or end is None:
        return
    message: str | None = None
    if isinstance(begin, WeekTime):
        if not isinstance(end, WeekTime):
            message = "from is weekly and to has a date; write both weekly, or both with a date"
        elif begin == end:
            message = f"from and to are both {begin}; write a later end"
    elif isinstance(end, WeekTime):
        message = "from has a date and to is weekly; write both weekly, or both with a date"
    elif end <= begin:
        message = f"to, {format_wall_time(end)}, is not after from; write a later end"
    if message is not None:
        yield finding_at(freeze.keys["to"], (*path, "to"), message)


def _time(node: Node | None) -> FreezeTime | None:
    if not is_text(node):
        return None
    try:
        return parse_freeze_time(node.text)
    except ValueError:
        return None


def _unknown_features(freeze: Table, path: KeyPath, known: Collection[str]) -> Iterator[Finding]:
    listed = freeze.values.get("features")
    for index, name in enumerate(listed.items if isinstance(listed, Items) else []):
        if is_text(name) and name.text not in known:
            message = f"the file has no feature {quoted(name.text)}; name one that it has"
            yield finding_at(name.place, (*path, "features", index), message)
