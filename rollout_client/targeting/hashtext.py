"""Postgres' `hashtext`, as little-endian servers compute it.

The algorithm is Bob Jenkins' lookup3 as `hash_bytes` of Postgres has it. Servers 14 to 18 made the frozen
vectors in `tests/vectors/hashtext.csv`. A big-endian server adds words in the other byte order and gives
other values; the schema's upgrade compares a known value and refuses such a server.
"""

from functools import lru_cache
from typing import Final

_MASK: Final = 0xFFFFFFFF
_INITIAL: Final = 0x9E3779B9 + 3923095
_BLOCK_BYTES: Final = 12


@lru_cache(maxsize=1 << 16)
def hashtext(text: bytes) -> int:
    """Return the hash of a text in UTF-8, a signed number of 32 bits."""
    a = b = c = (_INITIAL + len(text)) & _MASK
    whole = len(text) - len(text) % _BLOCK_BYTES
    for start in range(0, whole, _BLOCK_BYTES):
        a, b, c = _mixed(
            a + _word(text, start), b + _word(text, start + 4), c + _word(text, start + 8)
        )
    a += _word(text, whole)
    b += _word(text, whole + 4)
    # The lowest byte of the third word is reserved for the length.
    c += _word(text, whole + 8) << 8
    hashed = _finished(a, b, c)
    return hashed - (1 << 32) if hashed >> 31 else hashed


def _word(text: bytes, start: int) -> int:
    return int.from_bytes(text[start : start + 4], "little")


def _rotated(word: int, bits: int) -> int:
    return (word << bits | word >> (32 - bits)) & _MASK


def _mixed(a: int, b: int, c: int) -> tuple[int, int, int]:
    a, b, c = a & _MASK, b & _MASK, c & _MASK
    for of_c, of_a, of_b in ((4, 6, 8), (16, 19, 4)):
        a = (a - c & _MASK) ^ _rotated(c, of_c)
        c = c + b & _MASK
        b = (b - a & _MASK) ^ _rotated(a, of_a)
        a = a + c & _MASK
        c = (c - b & _MASK) ^ _rotated(b, of_b)
        b = b + a & _MASK
    return a, b, c


def _finished(a: int, b: int, c: int) -> int:
    a, b, c = a & _MASK, b & _MASK, c & _MASK
    c = (c ^ b) - _rotated(b, 14) & _MASK
    a = (a ^ c) - _rotated(c, 11) & _MASK
    b = (b ^ a) - _rotated(a, 25) & _MASK
    c = (c ^ b) - _rotated(b, 16) & _MASK
    a = (a ^ c) - _rotated(c, 4) & _MASK
    b = (b ^ a) - _rotated(a, 14) & _MASK
    return (c ^ b) - _rotated(b, 24) & _MASK
