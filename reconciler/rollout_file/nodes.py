"""Nodes: a rollout file's values with their places, and the value of each scalar.

Plain `true` and `false` are booleans, plain decimals are numbers, everything else is text. `yaml_parser.py`
makes the nodes; the model checks the values.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from re import compile as pattern
from typing import Any, Final, NamedTuple, TypeGuard

from reconciler.errors import Finding
from reconciler.rollout_file.characters import quoted

KeyPath = tuple[str | int, ...]
"""The keys, and positions in lists counted from 0, that lead from the file's root to a value."""


class Place(NamedTuple):
    """The begin of something in a file; line and column, in characters, count from 1."""

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
    """A reference to an anchor; it is refused, so its value does not matter."""

    place: Place


Node = Scalar | Items | Table | Alias


class Nothing:
    """The value of a key or a dash without a value, or with `~` or `null`."""

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


def scalar_value(scalar: Scalar) -> str | bool | Decimal | Nothing:
    """Return a scalar's value: only plain `true` and `false` are booleans, only decimals are numbers.

    A number has no exponent and no zeros after its last decimal.
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


def is_text(node: Node | None) -> TypeGuard[Scalar]:
    """Return whether a node is a text."""
    return isinstance(node, Scalar) and isinstance(scalar_value(node), str)


def node_value(node: Node) -> Any:
    """Return a node's value: dictionaries, tuples and the values of scalars."""
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
    """The place of each key path of a file, looked up on demand."""

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
