"""From text to nodes: the part of YAML that a rollout file uses.

Nodes are composed from the parser's events, one at a time, so that a file over the limits is refused
before it uses much memory or stack. Anchors, aliases, merge keys, tags, directives, a second document and
duplicate keys are findings here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import Any, Final

import yaml

from reconciler.errors import MAX_FINDINGS, Finding
from reconciler.rollout_file.characters import cut, position, quoted
from reconciler.rollout_file.nodes import (
    NOTHING,
    Alias,
    Items,
    KeyPath,
    Node,
    Place,
    Scalar,
    Table,
    finding_at,
    scalar_value,
)
from reconciler.rollout_file.plain_lists import LeftOut, shorten
from reconciler.rollout_file.yaml_errors import DIRECTIVES, syntax_finding

MAX_NESTING_LEVELS = 20
MAX_NODES = 500_000

LOADER: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The parser: libyaml if PyYAML was built with it, else the slower pure one."""

_NOTHING_LEFT_OUT: Final[Mapping[int, LeftOut]] = MappingProxyType({})
_BREAK = r"(?>\r\n|\r|\n)"
_HEAD = re.compile(rf"(?:[ \t]*+(?:[#%][^\r\n]*+)?+{_BREAK})*+(?:[#%][^\r\n]*+)?+")
"""The blank lines, comments and directives that a document can begin with."""
_DIRECTIVE = re.compile(r"(?:(?<=[\r\n])|\A)%")
_DIRECTIVE_BEHIND = re.compile(rf"(?:[ \t]*+(?:#[^\r\n]*+)?+{_BREAK})*+%")


@dataclass(frozen=True, slots=True)
class Composition:
    """A text's root, or None if it has none or can't be read, and the findings."""

    root: Node | None
    findings: tuple[Finding, ...]
    more: int = 0
    """The number of findings that were not kept."""


def compose(text: str) -> Composition:
    """Return the nodes of a text without byte-order mark and forbidden characters, and the findings."""
    shortened, left_out = shorten(text)
    if left_out:
        composer = _Composer(shortened, left_out)
        composition = _compose(composer)
        # A finding needs its place in the whole text, and a run can be a part of something else than a list.
        if not composition.findings and composer.is_whole:
            return composition
    return _compose(_Composer(text))


def _compose(composer: "_Composer") -> Composition:
    complete = False
    try:
        for event in yaml.parse(composer.without_directives(), Loader=LOADER):
            composer.take(event)
        complete = True
    except _DocumentComplete:
        complete = True
    except _GivenUp:
        pass
    except yaml.MarkedYAMLError as error:
        composer.findings.append(syntax_finding(error, composer.text))
    except (yaml.YAMLError, ValueError, OverflowError):  # the pure loader, at "\UFFFFFFFF"
        composer.refuse(composer.last, "a character that YAML can't hold follows here; remove it")
    if complete and _is_nothing(composer.root):
        composer.root = None
        composer.refuse(
            Place(1, 1), "the file is empty; write `version: 1`, or run `reconcile init`"
        )
    root = composer.root if complete else None
    return Composition(root, tuple(composer.findings), composer.more)


class _GivenUp(Exception):
    """The file is over a limit: nothing of it is used."""


class _DocumentComplete(Exception):
    """The text before this point is used, the text after it is not."""


@dataclass(slots=True)
class _Open:
    """A list or table that is not closed yet."""

    node: Items | Table
    key: tuple[str, Place] | None = None
    """The key whose value comes next; None if a key comes next."""
    lost: bool = False
    """The next value belongs to a refused key, and is not kept."""


class _Composer:
    """Takes the parser's events one by one."""

    def __init__(self, text: str, left_out: Mapping[int, LeftOut] = _NOTHING_LEFT_OUT) -> None:
        self.text = text
        self._left_out = left_out
        self._runs = 0
        self._lines = 0
        self.root: Node | None = None
        self.findings: list[Finding] = []
        self.more = 0
        self.last = Place(1, 1)
        self._stack: list[_Open] = []
        self._nodes = 0
        self._documents = 0

    def refuse(self, place: Place, message: str) -> None:
        """Add a finding about what is being read now."""
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(finding_at(place, self._path(), message))
        else:
            self.more += 1

    def without_directives(self) -> str:
        """Return the text with the directives at its head as comments, and refuse each of them.

        The parser would compare each directive with all before it, in quadratic time, before its first event.
        """
        found = _HEAD.match(self.text)
        head = "" if found is None else found[0]
        place, before = (1, 1), 0
        directives = _DIRECTIVE.finditer(head)
        for each in islice(directives, MAX_FINDINGS):
            place, before = position(head[before : each.start()], place), each.start()
            self.refuse(Place(*place), DIRECTIVES)
        self.more += sum(1 for _ in directives)
        return _DIRECTIVE.sub("#", head) + self.text[len(head) :]

    def take(self, event: yaml.Event) -> None:
        """Take the next event; most events of a long file are plain entries of a list."""
        if isinstance(event, yaml.ScalarEvent):
            place = self._begin(event)
            node = Scalar(event.value, not event.style, place)
            if event.anchor is not None or event.tag is not None:
                self._refuse_properties(event, place)
            parent = self._stack[-1].node if self._stack else None
            if isinstance(parent, Items):
                if self._left_out:
                    self._take_back(event, parent, node)
                parent.items.append(node)
            else:
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
        elif isinstance(event, yaml.DocumentEndEvent):
            self._end_document(event)

    @property
    def is_whole(self) -> bool:
        """Whether every entry that was left out of the text is in its list again."""
        return self._runs == len(self._left_out)

    def _take_back(self, event: yaml.ScalarEvent, parent: Items, node: Scalar) -> None:
        """Add the entries that were left out before this one, if it is the last of a run."""
        assert event.start_mark is not None, "the parser marks every event"  # noqa: S101
        run = self._left_out.get(event.start_mark.index)
        before = parent.items[-1] if parent.items else None
        if run is None or before is None or self._nodes + run.number > MAX_NODES:
            return
        first, *between, _ = run.entries
        line, column = node.place
        if before == Scalar(first, plain=True, place=Place(line - 1, column)):
            parent.items += [
                Scalar(text, plain=True, place=Place(each, column))
                for each, text in enumerate(between, line)
            ]
            self._runs += 1
            self._nodes += run.number
            self._lines += run.number
            node.place = Place(line + run.number, column)

    def _path(self) -> KeyPath:
        parts: list[str | int] = []
        for each in self._stack:
            if isinstance(each.node, Items):
                parts.append(len(each.node.items))
            elif each.key is not None:
                parts.append(each.key[0])
        return tuple(parts)

    def _begin_document(self, event: yaml.DocumentStartEvent) -> None:
        place = self._place(event)
        self._documents += 1
        if self._documents > 1:
            self.refuse(place, "a second document begins here; keep one in a file")
            raise _DocumentComplete

    def _end_document(self, event: yaml.DocumentEndEvent) -> None:
        assert event.end_mark is not None, "the parser marks every event"  # noqa: S101
        directive = _DIRECTIVE_BEHIND.match(self.text, event.end_mark.index)
        if directive is not None:
            self.refuse(Place(*position(self.text[: directive.end() - 1])), DIRECTIVES)
            raise _DocumentComplete

    def _place(self, event: yaml.Event) -> Place:
        mark = event.start_mark
        assert mark is not None, "the parser marks every event"  # noqa: S101
        return Place(mark.line + self._lines + 1, mark.column + 1)

    def _begin(self, event: yaml.Event) -> Place:
        self.last = place = self._place(event)
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
            message = f"the file is nested over {MAX_NESTING_LEVELS} levels here; use fewer levels"
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


def _is_nothing(root: Node | None) -> bool:
    return root is None or (isinstance(root, Scalar) and scalar_value(root) is NOTHING)
