"""The grammar of list entries, and the key that compares them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.rollout_file.list_entries import (
    ENTRY_PATTERN,
    are_entries,
    entry_key,
    entry_keys,
    entry_problem,
    is_entry,
    is_pattern,
)
from reconciler.rollout_file.value_types import whole
from reconciler.uuid_text import is_uuid, uuids_among

IDENTIFIER = "6F0C1C1E-3c0e-4a55-9b3e-0e5f7a1f2d11"


@pytest.mark.parametrize(
    "entry",
    [
        "acme/tools",
        "a/b",
        "Acme-Corp/x.y_z-",
        "acme/.github",
        "acme/...",
        "0/0",
        "octo-cat_corp/tools",
        "acme/*",
        "octo_corp/*",
        "o" * 39 + "/" + "n" * 100,
        IDENTIFIER,
    ],
)
def test_a_name_that_github_accepts_is_an_entry(entry: str) -> None:
    assert is_entry(entry)
    assert entry_problem(entry) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "acme",
        "/",
        "acme/",
        "/tools",
        "acme/.",
        "acme/..",
        "acme/x.git",
        "acme/.git",
        "acme/x.Git",
        "-a/b",
        "a-/b",
        "a--b/c",
        "a_b_c/d",
        "_a/b",
        "a_/b",
        "o" * 40 + "/n",
        "a/" + "n" * 101,
        "a/b/c",
        "a/b c",
        "a/b\n",
        "a/**",
        "*/*",
        "*",
        "аcme/tools",
        IDENTIFIER + "0",
        IDENTIFIER.replace("-", ""),
        "acme/" + IDENTIFIER + "\x00",
    ],
)
def test_a_name_that_github_refuses_is_explained(text: str) -> None:
    problem = entry_problem(text)

    assert not is_entry(text)
    assert problem is not None
    assert problem.isprintable()


def test_the_three_forms_are_distinguished() -> None:
    assert (is_uuid(IDENTIFIER), is_pattern(IDENTIFIER)) == (True, False)
    assert (is_uuid("acme/*"), is_pattern("acme/*")) == (False, True)
    assert (is_uuid("acme/tools"), is_pattern("acme/tools")) == (False, False)


def test_entries_are_compared_without_regard_to_case() -> None:
    assert entry_key("Acme/Tools") == entry_key("aCME/tOOLS") == "acme/tools"
    assert entry_key(IDENTIFIER) == IDENTIFIER.lower()


@given(st.one_of(st.text(), st.text("ab-_./*0G itg", max_size=12), st.from_regex(ENTRY_PATTERN)))
def test_the_schemas_pattern_and_the_reader_agree(text: str) -> None:
    assert bool(re.search(whole(ENTRY_PATTERN), text)) == is_entry(text)
    assert is_entry(text) == (entry_problem(text) is None)


_TEXTS = st.lists(
    st.one_of(
        st.text(max_size=40),
        st.from_regex(ENTRY_PATTERN, fullmatch=True),
        st.uuids().map(str),
        st.just(f"{IDENTIFIER}\n"),
    )
)


@given(_TEXTS)
def test_many_entries_are_read_as_each_by_itself(texts: list[str]) -> None:
    assert are_entries(texts) == all(is_entry(each) for each in texts)
    assert entry_keys(texts) == [entry_key(each) for each in texts]
    assert uuids_among(texts) == {each for each in texts if is_uuid(each)}
