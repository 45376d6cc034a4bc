"""Sizes: large files are read; too large files are refused before they use much memory or stack."""

import tracemalloc

import pytest

from reconciler.errors import MAX_FINDINGS, FileInvalid
from reconciler.rollout_file import characters, parse_rollout, reader
from reconciler.rollout_file.file_content import MAX_BYTES
from reconciler.rollout_file.yaml_parser import MAX_NODES, compose


def refusals(content: str | bytes) -> list[str]:
    with pytest.raises(FileInvalid) as raised:
        parse_rollout(content)
    return str(raised.value).splitlines()


def test_a_whitelist_of_100_000_entries_is_read() -> None:
    entries = [f"owner-{number % 977}/repository-{number}" for number in range(100_000)]
    content = "version: 1\nfeatures:\n  a:\n    whitelist:\n"

    document = parse_rollout(content + "".join(f"      - {entry}\n" for entry in entries))

    assert document.rollout.features["a"].whitelist == tuple(entries)
    assert document.places["features", "a", "whitelist", 99_999].line == 100_004


@pytest.mark.parametrize(
    ("content", "more"),
    [
        ("version: 1\ntest_repositories:\n" + "- wrong\n" * 3_000, 2 * 3_000 - 1 - MAX_FINDINGS),
        ("version: 1\n" + "".join(f"k{n}: 1\n" for n in range(3_000)), 2_000),
        ("version: 1\n" + "%TAG ! x\n" * 3_000, None),
        ("%TAG ! x\n" * 3_000 + "---\nversion: 1\n", 2_000),
        ("version: 1\n" + "a: 1\n" * 3_000, 2_999 + 1 - MAX_FINDINGS),
    ],
)
def test_the_first_thousand_errors_are_shown_and_the_others_counted(
    content: str, more: int | None
) -> None:
    found = refusals(content)

    if more is None:
        assert len(found) == 1
    else:
        assert len(found) == MAX_FINDINGS + 1
        assert found[-1].endswith(f": {more:,} more errors are not shown; fix these first")
        lines = [int(each.split(":")[1]) for each in found]
        assert lines == sorted(lines)


def test_16_mebibytes_are_read_and_one_byte_more_is_refused() -> None:
    start = b"version: 1\n#"
    content = start + b"x" * (MAX_BYTES - len(start))

    assert parse_rollout(content).rollout.version == 1
    assert refusals(content + b"x") == [
        "rollout.yaml:1:1: the file is larger than 16 MiB; shorten it"
    ]


def test_500_000_values_are_read_and_one_more_is_refused() -> None:
    around = 5  # the root, `version`, its value, `test_repositories` and its list
    fits = "version: 1\ntest_repositories:\n" + "- a\n" * (MAX_NODES - around)

    assert compose(fits).findings == ()
    assert refusals(fits + "- a\n") == [
        f"rollout.yaml:{MAX_NODES - 2}:3: the file has more than 500,000 values; write fewer"
    ]


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_deep_nesting_is_refused_at_once(opening: str) -> None:
    content = "version: 1\nx: " + opening * 1_000_000 if opening in "[{a: " else opening * 1_000_000

    tracemalloc.start()
    found = refusals(content)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert found[-1].endswith("the file is nested over 20 levels here; use fewer levels")
    assert peak < 10 * len(content) + 20_000_000


@pytest.mark.parametrize("before", ["", "version: 1\n", "version: 1\n...\n"])
def test_directives_are_not_compared_with_each_other(before: str) -> None:
    content = before + "".join(f"%TAG !a{number}! b\n" for number in range(3_000))

    found = refusals(content + "---\nversion: 2\n")

    assert "directives such as" in found[0]
    assert len(found) == (1 if before else MAX_FINDINGS + 1)


def test_aliases_are_not_followed() -> None:
    lines = ["version: 1", "l0: &l0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 60)]

    found = refusals("\n".join(lines))

    assert sum("the alias" in each for each in found) == 59 * 9
    assert sum("the anchor" in each for each in found) == 60


def test_many_forbidden_characters_are_reported_once() -> None:
    assert len(refusals("\x00\n" * 200_000)) == 100


def test_bytes_that_are_not_text_are_scanned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    described: list[str] = []
    passed: list[str] = []

    def describe(character: str) -> str:
        described.append(character)
        return "it"

    def position(text: str, begin: tuple[int, int]) -> tuple[int, int]:
        passed.append(text)
        return characters.position(text, begin)

    monkeypatch.setattr(characters, "describe_character", describe)
    monkeypatch.setattr(reader, "position", position)
    content = "# long\r\n" * 10_000 + "\x01\r\n" * 10_000

    found = refusals(content)

    assert found[0].startswith("rollout.yaml:10001:1: ")
    assert found[-1].startswith("rollout.yaml:10100:1: ")
    assert len(described) == 100
    assert sum(map(len, passed)) < len(content)


def test_a_key_of_a_megabyte_is_shown_shortened() -> None:
    missing, unknown = refusals("? " + "k" * 1_000_000 + "\n: 1\n")

    assert missing.endswith("key 'version' is missing; write version: 1")
    assert "unknown key 'kkk" in unknown
    assert "kkk…'" in unknown
    assert len(unknown) < 250
