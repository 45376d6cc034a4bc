"""Arguments as text: any bytes of a command line become text that can be stored."""

import pytest

from reconciler.cli.types import as_text


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        ("Größe “é” 中", "Größe “é” 中"),
        ("Größe 中".encode().decode("ascii", "surrogateescape"), "Größe 中"),
        (
            b"Gr\xf6\xdfe".decode("ascii", "surrogateescape"),
            "Gr\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}e",
        ),
        ("a\ud800b", "a\N{REPLACEMENT CHARACTER}b"),
        ("a\0b", "a b"),
    ],
    ids=["utf-8", "utf-8 in an ASCII locale", "latin-1", "half a character", "NUL"],
)
def test_an_argument_becomes_text(argument: str, text: str) -> None:
    assert as_text(argument) == text
