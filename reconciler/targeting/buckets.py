"""Buckets: one of 10,000 places for each repository under a salt, the same in every language.

Frozen vectors in `tests/vectors/` pin the definition; it never changes, since another bucket is another
audience at the same percentage.
"""

from hashlib import sha256
from struct import Struct
from typing import Final

BUCKET_COUNT: Final = 10_000
"""A hundredth of a percent each: percentages have at most two decimals."""


def bucket(salt: str, repository_id: str) -> int:
    """Return the bucket, from 0 to 9999, of a repository's id (lower-case UUID text) under a salt."""
    return bucket_of(hashed_prefix(salt), repository_id.encode())


def hashed_prefix(salt: str) -> bytes:
    """Return what stands before every id that is hashed under a salt."""
    return f"{salt}:".encode()


def bucket_of(prefix: bytes, repository_id: bytes) -> int:
    """Return the bucket for a prefix of `hashed_prefix` and an id's text, both encoded already."""
    first: int = _FIRST_FOUR_BYTES(sha256(prefix + repository_id).digest())[0]
    return first % BUCKET_COUNT


_FIRST_FOUR_BYTES: Final = Struct(">I").unpack_from
