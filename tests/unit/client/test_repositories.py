"""Repositories in pages: each is found by its id and by its name, and other keys find none."""

import tracemalloc
from types import MappingProxyType
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout_client.repositories import Page, Repositories, is_id
from rollout_client.targeting.categories import Category

CATEGORIES = list(Category)

names = st.from_regex(r"[A-Za-z0-9-]{1,9}/[A-Za-z0-9._-]{1,9}", fullmatch=True)
# Close together, so that ids share their halves.
ids = st.builds(
    lambda high, low: UUID(int=high << 64 | low), st.integers(0, 3), st.integers(0, 2**64 - 1)
)


def repositories(known: dict[UUID, str], page_count: int) -> Repositories:
    pages = {}
    for number in range(page_count):
        rows = sorted(each for each in known if each.bytes[15] % page_count == number)
        if rows:
            pages[number] = Page(
                b"digest",
                b"".join(each.bytes for each in rows),
                bytes(each.int % 5 + 8 * (each.int % 2) for each in rows),
                b"\0".join(known[each].encode() for each in rows),
            )
    return Repositories(MappingProxyType(pages), page_count, has_categories=True)


@given(st.dictionaries(ids, names, max_size=60), ids, st.sampled_from([1, 4, 256]))
def test_each_repository_is_found_by_its_id_only(
    known: dict[UUID, str], other: UUID, page_count: int
) -> None:
    kept = repositories(known, page_count)

    assert len(kept) == len(known)
    assert {each.id: each.full_name for each in kept} == {str(k): v for k, v in known.items()}
    for id_, name in known.items():
        for asked in (id_, str(id_), str(id_).upper()):
            found = kept.find(asked)
            assert found is not None
            assert (found.id, found.full_name) == (str(id_), name)
            assert found.category is CATEGORIES[id_.int % 5]
            assert found.marked_as_test is (id_.int % 2 == 1)
    assert (kept.find(other) is None) is (other not in known)


@given(st.dictionaries(ids, names, max_size=60), st.sampled_from([1, 4, 256]))
def test_each_repository_is_found_by_a_unique_name_in_any_case(
    known: dict[UUID, str], page_count: int
) -> None:
    kept = repositories(known, page_count)
    lower = [name.lower() for name in known.values()]

    for id_, name in known.items():
        for asked in (name, name.upper()):
            found = kept.find(asked)
            if lower.count(name.lower()) == 1:
                assert found is not None
                assert found.id == str(id_)
            else:
                assert found is None


@pytest.mark.parametrize(
    "asked",
    [
        "",
        "/",
        "acme",
        "acme/site\0",
        "\ud800/x",
        "00000000000000000000000000000001",
        "{00000000-0000-0000-0000-000000000001}",
        "0000000-00000-0000-0000-0000000000001",
        "00000000-0000-0000-0000-00000000000 ",
        "00000000-0000-0000-0000-0x0000000001",
        "00000000-0000-0000-0000-0_0000000001",
        7,
        None,
    ],
)
def test_an_invalid_id_or_name_finds_no_repository(asked: object) -> None:
    kept = repositories({UUID(int=1): "acme/site"}, 1)

    assert kept.find(asked) is None
    assert not isinstance(asked, str) or not is_id(asked)


def test_a_page_returns_its_ids_unchanged() -> None:
    packed = b"".join(UUID(int=number * 2**70 + 5).bytes for number in range(9))
    page = Page(b"", packed, bytes(9), b"\0" * 8)
    assert page.ids == packed


def test_an_inconsistent_page_is_refused() -> None:
    with pytest.raises(ValueError, match="different lengths"):
        Page(b"", bytes(32), bytes(1), b"a/b")


def test_a_page_with_new_categories_shares_ids_and_names() -> None:
    count = 10_000
    packed = b"".join(UUID(int=number).bytes for number in range(count))
    names = b"\0".join(b"a/%d" % number for number in range(count))
    page = Page(b"1", packed, bytes(count), names)
    facts = bytes((3, 8)) * (count // 2)

    tracemalloc.start()
    moved = page.renewed(b"2", packed, facts, names)
    allocated, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert (moved.digest, moved.facts) == (b"2", facts)
    assert (page.digest, page.facts) == (b"1", bytes(count))
    assert allocated < count


def test_a_page_with_new_names_or_ids_is_read_again() -> None:
    packed = UUID(int=1).bytes + UUID(int=2).bytes
    page = Page(b"1", packed, bytes((0, 0)), b"a/b\0c/d")

    renamed = page.renewed(b"3", packed, bytes((0, 0)), b"a/b\0c/e")
    replaced = page.renewed(b"4", packed[16:] + UUID(int=3).bytes, bytes((0, 0)), b"a/b\0c/d")

    assert list(renamed.rows_named(b"c/e")) == [1]
    assert replaced.row_of(UUID(int=3).bytes) == 1
    assert replaced.row_of(UUID(int=1).bytes) is None
