"""An edit of a file as a unified diff."""

from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import Match, SequenceMatcher

import click

from reconciler.cli.render.text import for_line

_COLORS = {"-": "red", "+": "green", "@": "cyan"}


def file_diff(path: str, before: bytes, after: bytes) -> str:
    """Return the diff of a file's content; a carriage return is spelled out."""
    return "\n".join(_lines(path, before.decode(), after.decode()))


def _lines(path: str, before: str, after: str) -> Iterator[str]:
    name = for_line(path)
    both = (text.split("\n") for text in (before, after))
    old, new = ([*(f"{line}\n" for line in lines[:-1]), *lines[-1:]] for lines in both)
    for line in _unified([each for each in old if each], [each for each in new if each], name):
        shown = for_line(line.removesuffix("\n"))
        yield click.style(shown, fg=_COLORS.get(line[0]))
        if not line.endswith("\n"):
            yield "\\ No newline at end of file"


def _unified(old: Sequence[str], new: Sequence[str], name: str) -> Iterator[str]:
    """Yield the lines of `difflib.unified_diff`, in a time that is linear in the number of lines."""
    hunks = list(_Aligned(old, new).get_grouped_opcodes())
    if hunks:
        yield from (f"--- {name}\n", f"+++ {name}\n")
    for hunk in hunks:
        (_, first, _, begin, _), (_, _, last, _, end) = hunk[0], hunk[-1]
        yield f"@@ -{_range(first, last)} +{_range(begin, end)} @@\n"
        for kind, i, i_end, j, j_end in hunk:
            if kind == "equal":
                yield from (f" {each}" for each in old[i:i_end])
            else:
                yield from (f"-{each}" for each in old[i:i_end])
                yield from (f"+{each}" for each in new[j:j_end])


def _range(begin: int, end: int) -> str:
    count = end - begin
    return f"{begin + 1}" if count == 1 else f"{begin + 1 if count else begin},{count}"


class _Aligned(SequenceMatcher[str]):
    """Compares only the lines between those that occur once in both texts, since an edit moves no line.

    A comparison of the whole texts takes minutes when a thousand entries leave a long list.
    """

    def __init__(self, old: Sequence[str], new: Sequence[str]) -> None:
        super().__init__(None, (), ())
        self._old, self._new = old, new

    def get_matching_blocks(self) -> list[Match]:
        blocks: list[Match] = []
        i = j = 0
        for anchor, partner in [*self._anchors(), (len(self._old), len(self._new))]:
            blocks += _common(self._old[i:anchor], self._new[j:partner], i, j)
            if anchor < len(self._old):
                blocks.append(Match(anchor, partner, 1))
            i, j = anchor + 1, partner + 1
        return [*_joined(blocks), Match(len(self._old), len(self._new), 0)]

    def _anchors(self) -> Iterator[tuple[int, int]]:
        counts = Counter(self._old), Counter(self._new)
        places = {each: place for place, each in enumerate(self._new)}
        last = -1
        for place, each in enumerate(self._old):
            if counts[0][each] == counts[1][each] == 1 and places[each] > last:
                last = places[each]
                yield place, last


def _common(old: Sequence[str], new: Sequence[str], i: int, j: int) -> Iterator[Match]:
    """Yield the blocks that two sections share; the sections begin at `i` and at `j`."""
    if not (old and new):
        return
    for each in SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks():
        if each.size:
            yield Match(i + each.a, j + each.b, each.size)


def _joined(blocks: Sequence[Match]) -> Iterator[Match]:
    joined: Match | None = None
    for each in blocks:
        if joined is None:
            joined = each
        elif (joined.a + joined.size, joined.b + joined.size) == (each.a, each.b):
            joined = Match(joined.a, joined.b, joined.size + each.size)
        else:
            yield joined
            joined = each
    if joined is not None:
        yield joined
