"""Buckets: frozen, uniform, and independent between salts."""

from collections import Counter
from hashlib import sha256
from uuid import UUID

from rollout_client.targeting.buckets import BUCKET_COUNT, bucket, hashtext_bucket_of
from rollout_client.targeting.hashtext import hashtext
from tests.vectors import BUCKETS_FILE, HASHTEXT_FILE, bucket_vectors, hashtext_vectors

# The 99.99th percentile of chi-square with 9,999 degrees of freedom (Wilson and Hilferty).
_MOST_CHI_SQUARE_OF_BUCKETS = 10_534
# The same with 81 degrees of freedom.
_MOST_CHI_SQUARE_OF_TENTHS = 135


def _ids(count: int) -> list[str]:
    return [str(UUID(int=number)) for number in range(count)]


def test_every_frozen_vector_holds() -> None:
    vectors = bucket_vectors()

    assert len(vectors) == 1000
    assert [bucket(salt, key) for salt, key, _ in vectors] == [each for _, _, each in vectors]


def test_the_frozen_vectors_have_not_changed() -> None:
    assert (
        sha256(BUCKETS_FILE.read_bytes()).hexdigest()
        == "120bc4957b672f7b189393c4c34e3d02396d28436d0b2ee078b8a9fb4e01c882"
    )


def test_buckets_are_uniform_over_a_million_ids() -> None:
    counts = Counter(bucket("hybrid_progressive_capture", key) for key in _ids(1_000_000))

    expected = 1_000_000 / BUCKET_COUNT
    chi_square = sum((counts[each] - expected) ** 2 / expected for each in range(BUCKET_COUNT))

    assert set(counts) <= set(range(BUCKET_COUNT))
    # A distribution that is too even would be as wrong as one that is too uneven.
    assert 9_480 < chi_square < _MOST_CHI_SQUARE_OF_BUCKETS


def test_two_salts_take_repositories_in_independent_orders() -> None:
    ids = _ids(200_000)
    pairs = Counter((bucket("one", key) // 1000, bucket("two", key) // 1000) for key in ids)
    of_one, of_two = Counter[int](), Counter[int]()
    for (one, two), count in pairs.items():
        of_one[one] += count
        of_two[two] += count

    chi_square = sum(
        (pairs[one, two] - expected) ** 2 / expected
        for one in range(10)
        for two in range(10)
        for expected in [of_one[one] * of_two[two] / len(ids)]
    )

    assert chi_square < _MOST_CHI_SQUARE_OF_TENTHS


def test_hashtext_is_that_of_postgres_for_every_frozen_vector() -> None:
    vectors = hashtext_vectors()

    assert len(vectors) == 1000
    assert [hashtext(text.encode()) for text, _ in vectors] == [each for _, each in vectors]
    assert (
        sha256(HASHTEXT_FILE.read_bytes()).hexdigest()
        == "72c71858401108dba88bf3a04b10bae2db5ee8fdc270c36da4f7e04de07b1971"
    )


def test_hashtext_buckets_are_whole_percents_and_each_is_drawn() -> None:
    buckets = {hashtext_bucket_of(key.encode()) for key in _ids(10_000)}

    assert buckets == set(range(0, 10_000, 100))


def test_a_negative_hash_has_the_bucket_of_its_remainder_without_sign() -> None:
    negative = next(
        text for text, hash_ in hashtext_vectors() if hash_ % 100 != -hash_ % 100 and hash_ < 0
    )

    assert hashtext_bucket_of(negative.encode()) == -hashtext(negative.encode()) % 100 * 100
