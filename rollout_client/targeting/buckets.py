"""Buckets: one of 10,000 places for each repository, the same in every language.

A percentage makes the buckets below a limit eligible. Frozen vectors in `tests/vectors/` pin both
definitions. They never change, because another bucket is another audience at the same percentage.
"""

from enum import StrEnum
from hashlib import sha256
from struct import Struct
from typing import Final

from rollout_client.targeting.hashtext import hashtext

BUCKET_COUNT: Final = 10_000
"""A hundredth of a percent each: percentages have at most two decimals."""
BUCKETS_PER_PERCENT: Final = BUCKET_COUNT // 100


class Bucketing(StrEnum):
    """How a repository gets its bucket."""

    SHA256 = "sha256"
    """By the feature's salt and the repository's id, in 10,000 places."""
    HASHTEXT = "hashtext"
    """By Postgres' `hashtext` of the repository's id, in 100 places, as adopted services have it."""


def bucket(salt: str, repository_id: str) -> int:
    """Return the bucket, from 0 to 9999, of a repository's id (lower-case UUID text) under a salt."""
    return bucket_of(hashed_prefix(salt), repository_id.encode())


def hashed_prefix(salt: str) -> bytes:
    """Return the bytes that precede every id that is hashed under a salt."""
    return f"{salt}:".encode()


def bucket_of(prefix: bytes, repository_id: bytes) -> int:
    """Return the bucket for a prefix of `hashed_prefix` and an id's text, both encoded already."""
    first: int = _FIRST_FOUR_BYTES(sha256(prefix + repository_id).digest())[0]
    return first % BUCKET_COUNT


def hashtext_bucket_of(repository_id: bytes) -> int:
    """Return the bucket of an id's text by `hashtext`: a multiple of 100, from 0 to 9900.

    It is `abs(hashtext(id::text) % 100)` of Postgres in hundredths of a percent.
    """
    return abs(hashtext(repository_id)) % 100 * BUCKETS_PER_PERCENT


_FIRST_FOUR_BYTES: Final = Struct(">I").unpack_from
