"""From text to nodes with places: YAML as the rollout file uses it, and nothing more of YAML.

Nodes are put together from the parser's events, one at a time, so that a file over the limits is given up
before it takes memory or stack. Anchors, aliases, merge keys, tags, directives, a second document and
duplicate keys are findings here; what the values mean is the model's.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from re import compile as pattern
from typing import Any, Final, NamedTuple

import yaml

from reconciler.errors import Finding
from reconciler.rollout_file.texts import cut, quoted
from reconciler.rollout_file.yaml_errors import syntax_finding

MAX_NESTING_LEVELS = 20
MAX_NODES = 500_000

LOADER: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""What parses: libyaml where PyYAML was built with it, else the slower pure one."""

KeyPath = tuple[str | int, ...]
"""The keys, and positions in lists counted from 0, that lead from the file's root to a value."""


class Place(NamedTuple):
    """Where something begins in a file; line and column, in characters, count from 1."""

    line: int
    column: int


@dataclass(slots=True)
class Scalar:
    """One value: its text, and whether it was written plain, without quotes."""

    text: str
    plain: bool
    place: Place


@dataclass(slots=True)
class Items:
    """A list."""

    place: Place
    items: list["Node"] = field(default_factory=list)


@dataclass(slots=True)
class Table:
    """A mapping: the place of each key and its value. Of a duplicate key the first is kept."""

    place: Place
    keys: dict[str, Place] = field(default_factory=dict)
    values: dict[str, "Node"] = field(default_factory=dict)


@dataclass(slots=True)
class Alias:
    """A reference to an anchor: refused, so what it would mean is not looked at."""

    place: Place


Node = Scalar | Items | Table | Alias


class Nothing:
    """The value of a key, or of a dash, behind which nothing, `~` or `null` is written."""

    def __repr__(self) -> str:
        return "NOTHING"


NOTHING: Final = Nothing()

_NUMBER = pattern(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_MAY_MEAN_MORE_THAN_TEXT = frozenset("-0123456789tfn~")
_MEANINGS: Mapping[str, bool | Nothing] = {
    "true": True,
    "false": False,
    "": NOTHING,
    "~": NOTHING,
    "null": NOTHING,
}


@dataclass(frozen=True, slots=True)
class Composition:
    """What a text holds: its root, or None where there is none to look at, and what was refused."""

    root: Node | None
    findings: tuple[Finding, ...]


def compose(text: str) -> Composition:
    """Return the nodes of a text without byte-order mark and forbidden characters, and the findings."""
    composer = _Composer()
    complete = False
    try:
        for event in yaml.parse(text, Loader=LOADER):
            composer.take(event)
        complete = True
    except _DocumentComplete:
        complete = True
    except _GivenUp:
        pass
    except yaml.MarkedYAMLError as error:
        composer.findings.append(syntax_finding(error))
    except (yaml.YAMLError, ValueError, OverflowError):  # the pure loader, at "\UFFFFFFFF"
        composer.refuse(composer.last, "behind this is a character that YAML can't hold; remove it")
    if complete and composer.root is None:
        composer.refuse(
            Place(1, 1), "the file is empty; write `version: 1`, or run `reconcile init`"
        )
    return Composition(composer.root if complete else None, tuple(composer.findings))


def scalar_value(scalar: Scalar) -> str | bool | Decimal | Nothing:
    """Return what a scalar means: only plain `true` and `false` are booleans, only decimals numbers.

    A number is without an exponent and without zeros behind its last decimal.
    """
    text = scalar.text
    if not scalar.plain or (text and text[0] not in _MAY_MEAN_MORE_THAN_TEXT):
        return text
    if text in _MEANINGS:
        return _MEANINGS[text]
    if not _NUMBER.fullmatch(text):
        return text
    number = Decimal(text.rstrip("0").rstrip(".") if "." in text else text)
    return number or Decimal(0)


def node_value(node: Node) -> Any:
    """Return what a node means: dictionaries, tuples and the values of scalars."""
    match node:
        case Scalar():
            return scalar_value(node)
        case Items(items=items):
            return tuple(map(node_value, items))
        case Table(values=values):
            return {key: node_value(value) for key, value in values.items()}
        case Alias():
            return NOTHING


def node_at(root: Node, path: KeyPath) -> tuple[Node, Place] | None:
    """Return the node that a path leads to, and its place: its key's, or its own in a list."""
    node, place = root, root.place
    for part in path:
        if isinstance(node, Table) and isinstance(part, str) and part in node.values:
            place = node.keys[part]
            node = node.values[part]
        elif isinstance(node, Items) and isinstance(part, int) and 0 <= part < len(node.items):
            node = node.items[part]
            place = node.place
        else:
            return None
    return node, place


class Places(Mapping[KeyPath, Place]):
    """The place of each key path of a file, found when it is asked for."""

    def __init__(self, root: Node) -> None:
        self._root = root

    def __getitem__(self, path: KeyPath) -> Place:
        found = node_at(self._root, path)
        if found is None:
            raise KeyError(path)
        return found[1]

    def __iter__(self) -> Iterator[KeyPath]:
        return _paths(self._root, ())

    def __len__(self) -> int:
        return sum(1 for _ in self)


def show_path(path: KeyPath) -> str:
    """Return a key path as messages show it: `features.my_feature.progression[0].soak`."""
    shown = ""
    for part in path:
        if isinstance(part, int):
            shown += f"[{part}]"
        else:
            key = part if _BARE_KEY.fullmatch(part) else quoted(part)
            shown += f".{key}" if shown else key
    return shown


def finding_at(place: Place, path: KeyPath, message: str) -> Finding:
    """Return a finding that names the path it is about."""
    prefix = f"{show_path(path)}: " if path else ""
    return Finding(place.line, place.column, prefix + message)


_BARE_KEY = pattern("[A-Za-z0-9_]{1,100}")


def _paths(node: Node, path: KeyPath) -> Iterator[KeyPath]:
    yield path
    match node:
        case Items(items=items):
            for index, item in enumerate(items):
                yield from _paths(item, (*path, index))
        case Table(values=values):
            for key, value in values.items():
                yield from _paths(value, (*path, key))
        case _:
            pass


class _GivenUp(Exception):
    """The file is over a limit: nothing of it is looked at."""


class _DocumentComplete(Exception):
    """What follows is not looked at, what came before it is."""


@dataclass(slots=True)
class _Open:
    """A list or table that is not closed yet."""

    node: Items | Table
    key: tuple[str, Place] | None = None
    """The key whose value comes next; None where a key comes next."""
    lost: bool = False
    """The next value belongs to a refused key, and is not kept."""


class _Composer:
    """Takes the parser's events one by one."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self.findings: list[Finding] = []
        self.last = Place(1, 1)
        self._stack: list[_Open] = []
        self._nodes = 0
        self._documents = 0

    def refuse(self, place: Place, message: str) -> None:
        """Add a finding about what is being read now."""
        self.findings.append(finding_at(place, self._path(), message))

    def take(self, event: yaml.Event) -> None:
        """Take the next event."""
        if isinstance(event, yaml.ScalarEvent):
            place = self._begin(event)
            node = Scalar(event.value, not event.style, place)
            if event.anchor is not None or event.tag is not None:
                self._refuse_properties(event, place)
            self._add(node)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._open(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._close()
        elif isinstance(event, yaml.AliasEvent):
            place = self._begin(event)
            self.refuse(
                place, f"the alias *{cut(str(event.anchor))} is not read; write the value itself"
            )
            self._add(Alias(place))
        elif isinstance(event, yaml.DocumentStartEvent):
            self._begin_document(event)

    def _path(self) -> KeyPath:
        parts: list[str | int] = []
        for each in self._stack:
            if isinstance(each.node, Items):
                parts.append(len(each.node.items))
            elif each.key is not None:
                parts.append(each.key[0])
        return tuple(parts)

    def _begin_document(self, event: yaml.DocumentStartEvent) -> None:
        place = _place(event)
        self._documents += 1
        if self._documents > 1:
            self.refuse(place, "a second document begins here; keep one in a file")
            raise _DocumentComplete
        if event.version or event.tags:
            self.refuse(place, "directives such as %YAML and %TAG are not read; remove the line")

    def _begin(self, event: yaml.Event) -> Place:
        self.last = place = _place(event)
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self.findings.append(
                Finding(*place, f"the file has more than {MAX_NODES:,} values; write fewer")
            )
            raise _GivenUp
        return place

    def _refuse_properties(
        self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, place: Place
    ) -> None:
        if event.anchor is not None:
            self.refuse(place, f"the anchor &{cut(event.anchor)} is not read; remove it")
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!", 1)
            self.refuse(place, f"the tag {cut(tag)} is not read; remove it")

    def _open(self, event: yaml.CollectionStartEvent) -> None:
        place = self._begin(event)
        if event.anchor is not None or event.tag is not None:
            self._refuse_properties(event, place)
        if len(self._stack) == MAX_NESTING_LEVELS:
            message = f"the file is nested over {MAX_NESTING_LEVELS} levels here; write it flatter"
            self.findings.append(Finding(*place, message))
            raise _GivenUp
        node = Items(place) if isinstance(event, yaml.SequenceStartEvent) else Table(place)
        self._stack.append(_Open(node))

    def _close(self) -> None:
        self._add(self._stack.pop().node)

    def _add(self, node: Node) -> None:
        if not self._stack:
            self.root = node
            return
        parent = self._stack[-1]
        if isinstance(parent.node, Items):
            parent.node.items.append(node)
        elif parent.lost:
            parent.lost = False
        elif parent.key is None:
            self._add_key(parent, parent.node, node)
        else:
            key, place = parent.key
            parent.key = None
            parent.node.keys[key] = place
            parent.node.values[key] = node

    def _add_key(self, parent: _Open, table: Table, node: Node) -> None:
        parent.lost = True
        if not isinstance(node, Scalar):
            if not isinstance(node, Alias):
                self.refuse(node.place, "a key is one word; write `key: value`")
        elif node.plain and node.text == "<<":
            self.refuse(node.place, "the merge key << is not read; write the keys themselves")
        elif node.text in table.keys:
            first = table.keys[node.text].line
            self.refuse(
                node.place, f"duplicate key {quoted(node.text)}, also on line {first}; keep one"
            )
        else:
            parent.lost = False
            parent.key = (node.text, node.place)


def _place(event: yaml.Event) -> Place:
    mark = event.start_mark
    assert mark is not None, "the parser marks every event"  # noqa: S101
    return Place(mark.line + 1, mark.column + 1)
