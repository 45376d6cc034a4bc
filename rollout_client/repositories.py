"""Repositories as a client stores them: compact pages, with a search by id and by name.

A million must fit into a service's memory. All ids of a page are one text, all names another, and
category and mark are one byte. Pages are immutable; a new state shares the unchanged pages.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final
from uuid import UUID

from rollout_client.targeting.categories import Category
from rollout_client.targeting.eligibility import Repository, keys_of

_CATEGORIES: Final = tuple(Category)
_MARK: Final = 8
_ID_BYTES: Final = 16
_ID_LENGTH: Final = 36
_LAST: Final = _ID_BYTES - 1
_HASH_MASK: Final = (1 << 40) - 1
_ROW_BITS: Final = 24
_ROW_MASK: Final = (1 << _ROW_BITS) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """Some thousands of repositories in the order of their ids."""

    digest: bytes
    """The database's digest of ids, facts and names."""
    ids: bytes
    """16 bytes each."""
    facts: bytes
    """One byte each: the position of the category, plus 8 for a mark as test."""
    names: bytes
    """Each in its own spelling, separated by NUL."""
    _by_id: "array[int]" = field(init=False, repr=False)
    """A hash table with open addressing: the number of a row, plus 1, or 0 for an empty slot."""
    _name_ends: "array[int]" = field(init=False, repr=False)
    _by_name: "array[int]" = field(init=False, repr=False)
    """A hash of the name and its row in one number, sorted."""

    def __post_init__(self) -> None:
        names = self.names.split(b"\0")
        if not len(self.ids) == _ID_BYTES * len(self.facts) == _ID_BYTES * len(names):
            raise ValueError("a page's ids, facts and names are of different lengths")
        hashed = (
            (hash(name.lower()) & _HASH_MASK) << _ROW_BITS | row
            for row, name in enumerate(names)
            if name
        )
        object.__setattr__(self, "_by_id", _rows_by_id(self.ids))
        object.__setattr__(
            self, "_name_ends", array("I", accumulate(len(each) + 1 for each in names))
        )
        object.__setattr__(self, "_by_name", array("Q", sorted(hashed)))

    def renewed(self, digest: bytes, ids: bytes, facts: bytes, names: bytes) -> "Page":
        """Return the page with new content; if only categories and marks changed, the rest is shared."""
        if names != self.names or ids != self.ids:
            return Page(digest, ids, facts, names)
        renewed = copy(self)
        object.__setattr__(renewed, "digest", digest)
        object.__setattr__(renewed, "facts", facts)
        return renewed

    def __len__(self) -> int:
        return len(self.facts)

    def row_of(self, packed_id: bytes) -> int | None:
        """Return the row of an id, given as its 16 bytes."""
        rows = self._by_id
        last = len(rows) - 1
        slot = hash(packed_id) & last
        while number := rows[slot]:
            if self.ids.startswith(packed_id, _ID_BYTES * (number - 1)):
                return number - 1
            slot = slot + 1 & last
        return None

    def rows_named(self, name: bytes) -> Iterator[int]:
        """Yield the rows that have a name, which is given in lower case."""
        wanted = hash(name) & _HASH_MASK
        hashed = self._by_name
        place = bisect_left(hashed, wanted << _ROW_BITS)
        while place < len(hashed) and hashed[place] >> _ROW_BITS == wanted:
            row = hashed[place] & _ROW_MASK
            if self.name(row).lower() == name:
                yield row
            place += 1

    def name(self, row: int) -> bytes:
        """Return a row's name."""
        begin = self._name_ends[row - 1] if row else 0
        return self.names[begin : self._name_ends[row] - 1]

    def id(self, row: int) -> str:
        """Return a row's id."""
        return str(UUID(bytes=_id_of(self.ids, row)))

    def repository(self, row: int, id_: str) -> Repository:
        """Return a row as a value for a decision."""
        facts = self.facts[row]
        name = self._decoded_name(row)
        return Repository(id_, name, _CATEGORIES[facts & ~_MARK], facts >= _MARK)

    def keys(self, row: int, id_: str) -> tuple[str, ...]:
        """Return the list entries that match a row."""
        return keys_of(id_, self._decoded_name(row))

    def _decoded_name(self, row: int) -> str:
        return self.name(row).decode("utf-8", "replace")


Place = tuple[Page, int, str]
"""Where a repository is: its page, its row, and its id in lower case."""


@dataclass(frozen=True, slots=True, eq=False)
class Repositories:
    """All repositories of the database, as of one moment."""

    pages: Mapping[int, Page] = field(default_factory=dict)
    """By the last byte of the id, modulo `page_count`."""
    page_count: int = 1
    has_categories: bool = False
    """Without categories, each repository has the last category, which is eligible last."""
    fingerprint: tuple[object, ...] | None = None
    """The database's fingerprint of all repositories; None if it was not read."""

    def __len__(self) -> int:
        return sum(map(len, self.pages.values()))

    def find(self, asked: object) -> Repository | None:
        """Return the repository of an id or an `owner/name`, in any case; None if it is unknown.

        A name of two repositories (a deleted one and its successor) finds neither.
        """
        place = self.place(asked)
        if place is None:
            return self._by_name(asked) if isinstance(asked, str) else None
        page, row, id_ = place
        return page.repository(row, id_)

    def place(self, asked: object) -> Place | None:
        """Return the place of the repository that has an id; None if no repository has it."""
        if isinstance(asked, str):
            packed = _packed(asked)
            if packed is None:
                return None
            id_ = asked.lower()
        elif isinstance(asked, UUID):
            packed = asked.bytes
            id_ = str(asked)
        else:
            return None
        page = self.pages.get(packed[_LAST] % self.page_count)
        if page is None:
            return None
        row = page.row_of(packed)
        return None if row is None else (page, row, id_)

    def __iter__(self) -> Iterator[Repository]:
        for page in self.pages.values():
            for row in range(len(page)):
                yield page.repository(row, page.id(row))

    def _by_name(self, name: str) -> Repository | None:
        if "/" not in name:
            return None
        wanted = name.encode("utf-8", "replace").lower()
        found = [(page, row) for page in self.pages.values() for row in page.rows_named(wanted)]
        if len(found) != 1:
            return None
        page, row = found[0]
        return page.repository(row, page.id(row))


def is_id(written: str) -> bool:
    """Return whether a text is a repository's id, in any case."""
    return _packed(written) is not None


def _rows_by_id(ids: bytes) -> "array[int]":
    """Return the hash table of the ids of a page; at least half of its slots are empty."""
    count = len(ids) // _ID_BYTES
    rows = array("I", bytes(array("I").itemsize << (2 * count).bit_length()))
    last = len(rows) - 1
    for row in range(count):
        # Each process has its own seed for hashes, so no chosen ids share a slot.
        slot = hash(_id_of(ids, row)) & last
        while rows[slot]:
            slot = slot + 1 & last
        rows[slot] = row + 1
    return rows


def _id_of(ids: bytes, row: int) -> bytes:
    return ids[_ID_BYTES * row : _ID_BYTES * (row + 1)]


def _packed(written: str) -> bytes | None:
    """Return the 16 bytes of an id; None if the text is not an id."""
    if len(written) != _ID_LENGTH or written[8:24:5] != "----":
        return None
    try:
        packed = bytes.fromhex(written.replace("-", ""))
    except ValueError:
        return None
    return packed if len(packed) == _ID_BYTES else None


NO_REPOSITORIES: Final = Repositories()
