"""Many hostile files: each is read or refused in plain words, and none takes the process's memory."""

import io
import sys
import zipfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, cast

import pytest

from reconciler.errors import FileInvalid, NotFound, SetupInvalid
from reconciler.github.artifacts import read_artifact
from reconciler.rollout_file import parse_rollout
from tests.fuzz.mutation import mutations
from tests.fuzz.observation import MOST_GROWTH_BYTES, MOST_SECONDS, Observation

if TYPE_CHECKING:
    from reconciler.github.client import GitHub

CORPUS = Path(__file__).parents[1] / "corpus" / "rollout_file"
YAML_FRAGMENTS = [
    *(
        b"version: 1\n",
        b"features:\n",
        b"  a:\n",
        b"    percentage: ",
        b"- ",
        b"? ",
        b": ",
        b"\n",
        b" ",
    ),
    *(
        b"&a ",
        b"*a",
        b"<<: *a\n",
        b"!!python/object/apply:os.system ",
        b"!!binary ",
        b"!!set ",
        b"!<tag:a>",
    ),
    *(
        b"[",
        b"]",
        b"{",
        b"}",
        b"{a: ",
        b"[[",
        b",",
        b"|\n",
        b">-\n",
        b"'",
        b'"',
        b"\\x00",
        b"\\u202e",
    ),
    *(
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\xc2\x9b",
        b"\xe2\x80\xae",
        b"\x00",
        b"\x1b[2J",
        b"\t",
        b"\r",
        b"\x85",
    ),
    *(
        b"%YAML 1.2\n",
        b"%TAG ! tag:a,2000:\n",
        b"---\n",
        b"...\n",
        b"# ",
        b"1e999999",
        b"0x7f",
        b"1_0",
        b"~",
    ),
    *(
        b".inf",
        b".nan",
        b"-0",
        b"9" * 400,
        b"2026-11-28T00:00:00Z",
        b"a/b",
        b"a/*",
        b"../..",
        b"yes",
        b"null",
    ),
]
ENTRY = "rollout.yaml"
MOST_MESSAGE_LENGTH = 500_000


def test_every_file_is_read_or_refused(
    at_size: Callable[[int, int], int], capsys: pytest.CaptureFixture[str]
) -> None:
    number = at_size(3_000, 1_000_000)
    valid = [each.read_bytes() for each in sorted(CORPUS.glob("*.yaml"))]
    observation = Observation("rollout files", number)

    for content in islice(mutations(Random(16), valid, YAML_FRAGMENTS), number):
        with observation.observed(content):
            refusal = _refusal(content)
        assert len(refusal) < MOST_MESSAGE_LENGTH, content[:2000]

    _report(observation, capsys)


def _refusal(content: bytes) -> str:
    """Return the errors of a file; nothing for a valid one."""
    try:
        parse_rollout(content)
    except FileInvalid as error:
        return str(error)
    except Exception as error:
        raise AssertionError(f"{error!r} for {content[:2000]!r}") from error
    return ""


class OneArtifact:
    """A GitHub with one artifact."""

    content = b""

    def pages(self, _path: str, **_query: str) -> Iterator[dict[str, Any]]:
        yield {"name": "rollout", "expired": False, "id": 1}

    def download(self, _path: str, _most_bytes: int) -> bytes:
        return self.content


def test_every_archive_is_read_or_refused(
    at_size: Callable[[int, int], int], capsys: pytest.CaptureFixture[str]
) -> None:
    number = at_size(1_000, 30_000)
    fragments = [
        b"PK\x03\x04",
        b"PK\x01\x02",
        b"PK\x05\x06",
        b"PK\x06\x06",
        b"PK\x06\x07",
        b"PK\x07\x08",
    ]
    fragments += [
        b"\xff" * 4,
        b"\xff" * 8,
        b"\x00" * 4,
        b"\x01\x00",
        ENTRY.encode(),
        b"../",
        b"\xff\x7f",
    ]
    hub = OneArtifact()
    observation = Observation("archives", number)

    for content in islice(mutations(Random(16), _archives(), fragments), number):
        hub.content = content
        with observation.observed(content):
            try:
                read_artifact(cast("GitHub", hub), "repos/acme/site", 1, "rollout", ENTRY)
            except (SetupInvalid, NotFound):
                pass
            except Exception as error:
                raise AssertionError(f"{error!r} for {content[:2000]!r}") from error

    _report(observation, capsys)


def _archives() -> list[bytes]:
    """Return archives as GitHub makes them, and some that a fork could make."""
    content = b"version: 1\nfeatures:\n  a:\n    percentage: 10\n"
    archives = [
        _archive({ENTRY: content}, method)
        for method in (
            zipfile.ZIP_STORED,
            zipfile.ZIP_DEFLATED,
            zipfile.ZIP_BZIP2,
            zipfile.ZIP_LZMA,
        )
    ]
    archives.append(_archive({ENTRY: content, "another": content}, zipfile.ZIP_DEFLATED))
    # Many zeros, so that a small archive has a large file.
    archives.append(_archive({ENTRY: b"\x00" * 20 * 1024**2}, zipfile.ZIP_DEFLATED))
    link = zipfile.ZipInfo(ENTRY)
    link.external_attr = 0o120777 << 16
    archives.append(_archive({link: b"/etc/passwd"}, zipfile.ZIP_STORED))
    return archives


def _archive(entries: "dict[Any, bytes]", method: int) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return written.getvalue()


def _report(observation: Observation, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        sys.stdout.write(f"\n{observation.report()}\n")
    assert observation.growth_bytes < MOST_GROWTH_BYTES
    assert observation.longest_seconds < MOST_SECONDS
