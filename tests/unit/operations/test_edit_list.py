"""Edits of long lists: the report of unknown names takes no noticeable time."""

import pytest

from reconciler.operations import edit_list
from reconciler.operations.edit_list import MAX_COMPARED_ENTRIES, MAX_GUESSED_NAMES, FoundList

LONG = tuple(f"owner-{number}/repository-{number}" for number in range(MAX_COMPARED_ENTRIES + 1))


def found(*entries: str) -> FoundList:
    return FoundList(None, ("test_repositories",), "the list", is_plural=False, entries=entries)


def content(*entries: str) -> bytes:
    listed = "".join(f"  - {each}\n" for each in entries)
    return f"version: 1\ntest_repositories:\n{listed}".encode()


@pytest.mark.parametrize("mistyped", ["owner-7/repositry-7", "ovner-7/repository-7"])
def test_the_nearest_of_a_long_list_has_the_owner_or_the_name(mistyped: str) -> None:
    edit = found(*LONG).remove(content(*LONG), [mistyped])

    assert edit.remarks == (
        f"the list does not have {mistyped}; did you mean owner-7/repository-7?",
    )


def test_a_mistyped_name_is_compared_with_a_few_entries(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[int] = []

    def compare(_name: str, candidates: list[str], n: int) -> list[str]:
        compared.append(len(candidates))
        return []

    monkeypatch.setattr(edit_list, "get_close_matches", compare)
    names = [f"gone/{number}" for number in range(3 * MAX_GUESSED_NAMES)]

    edit = found(*LONG).remove(content(*LONG), names)

    assert len(edit.remarks) == len(names)
    assert sum(compared) <= MAX_GUESSED_NAMES * MAX_COMPARED_ENTRIES
    assert sum(1 for each in compared if each) <= MAX_GUESSED_NAMES


def test_a_remaining_pattern_is_shown_for_each_name_it_matches() -> None:
    entries = ("acme/*", "acme/tools", "beta/*")

    edit = found(*entries).remove(content(*entries), ["ACME/tools", "Beta/site", "beta/*"])

    assert edit.remarks == (
        "the list does not have Beta/site; did you mean beta/*?",
        "the list still has acme/*, which includes ACME/tools",
    )
