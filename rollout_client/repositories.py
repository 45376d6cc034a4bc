"""Repositories as a client stores them: compact pages, with a search by id and by name.

A million must fit into a service's memory. An id is two numbers in sorted arrays, a name is a part
of one text, and category and mark are one byte. Pages are immutable; a new state shares the
unchanged pages.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import InitVar, dataclass, field
from itertools import accumulate
from struct import Struct
from sys import byteorder
from typing import Final
from uuid import UUID

from rollout_client.targeting.categories import Category
from rollout_client.targeting.eligibility import Repository

_CATEGORIES: Final = tuple(Category)
_MARK: Final = 8
_TWO_NUMBERS: Final = Struct(">QQ").unpack
_ID_BYTES: Final = 16
_ID_LENGTH: Final = 36
_HASH_MASK: Final = (1 << 40) - 1
_ROW_BITS: Final = 24
_ROW_MASK: Final = (1 << _ROW_BITS) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """Some thousands of repositories in the order of their ids."""

    digest: bytes
    """The database's digest of ids, facts and names."""
    ids: InitVar[bytes]
    """16 bytes each."""
    facts: bytes
    """One byte each: the position of the category, plus 8 for a mark as test."""
    names: bytes
    """Each in its own spelling, separated by NUL."""
    _high: "array[int]" = field(init=False, repr=False)
    _low: "array[int]" = field(init=False, repr=False)
    _name_ends: "array[int]" = field(init=False, repr=False)
    _by_name: "array[int]" = field(init=False, repr=False)
    """A hash of the name and its row in one number, sorted."""

    def __post_init__(self, ids: bytes) -> None:
        numbers = array("Q", ids)
        if byteorder == "little":
            numbers.byteswap()
        names = self.names.split(b"\0")
        if not len(numbers) == 2 * len(self.facts) == 2 * len(names):
            raise ValueError("a page's ids, facts and names are of different lengths")
        hashed = (
            (hash(name.lower()) & _HASH_MASK) << _ROW_BITS | row
            for row, name in enumerate(names)
            if name
        )
        object.__setattr__(self, "_high", numbers[::2])
        object.__setattr__(self, "_low", numbers[1::2])
        object.__setattr__(
            self, "_name_ends", array("I", accumulate(len(each) + 1 for each in names))
        )
        object.__setattr__(self, "_by_name", array("Q", sorted(hashed)))

    def renewed(self, digest: bytes, ids: bytes, facts: bytes, names: bytes) -> "Page":
        """Return the page with new content; if only categories and marks changed, the rest is shared."""
        if names != self.names or ids != self.packed_ids():
            return Page(digest, ids, facts, names)
        renewed = copy(self)
        object.__setattr__(renewed, "digest", digest)
        object.__setattr__(renewed, "facts", facts)
        return renewed

    def __len__(self) -> int:
        return len(self.facts)

    def row_of(self, high: int, low: int) -> int | None:
        """Return the row of an id, given as its two halves."""
        highs = self._high
        row = bisect_left(highs, high)
        while row < len(highs) and highs[row] == high:
            if self._low[row] == low:
                return row
            row += 1
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
        return str(UUID(int=self._high[row] << 64 | self._low[row]))

    def packed_ids(self) -> bytes:
        """Return all ids, 16 bytes each, in the order of the rows."""
        numbers = array("Q", bytes(_ID_BYTES * len(self)))
        numbers[::2] = self._high
        numbers[1::2] = self._low
        if byteorder == "little":
            numbers.byteswap()
        return numbers.tobytes()

    def repository(self, row: int, id_: str) -> Repository:
        """Return a row as a value for a decision."""
        facts = self.facts[row]
        return Repository(
            id_,
            self.name(row).decode("utf-8", "replace"),
            _CATEGORIES[facts & ~_MARK],
            facts >= _MARK,
        )


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
        if isinstance(asked, UUID):
            return self._by_id(str(asked), asked.bytes)
        if not isinstance(asked, str):
            return None
        packed = _packed(asked)
        return self._by_name(asked) if packed is None else self._by_id(asked.lower(), packed)

    def __iter__(self) -> Iterator[Repository]:
        for page in self.pages.values():
            for row in range(len(page)):
                yield page.repository(row, page.id(row))

    def _by_id(self, id_: str, packed: bytes) -> Repository | None:
        page = self.pages.get(packed[15] % self.page_count)
        if page is None:
            return None
        row = page.row_of(*_TWO_NUMBERS(packed))
        return None if row is None else page.repository(row, id_)

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


def _packed(written: str) -> bytes | None:
    """Return the 16 bytes of an id; None if the text is not an id."""
    if not (
        len(written) == _ID_LENGTH
        and written[8] == written[13] == written[18] == written[23] == "-"
    ):
        return None
    try:
        packed = bytes.fromhex(written.replace("-", ""))
    except ValueError:
        return None
    return packed if len(packed) == _ID_BYTES else None


NO_REPOSITORIES: Final = Repositories()
