"""A run's artifact, as the hostile thing that it is where a fork's pull request made it.

Nothing of it is unpacked onto disk, and nothing of it is believed: one entry is read, by a name that is
ours, up to a size.
"""

import io
import stat
import zipfile
import zlib
from typing import Final

from reconciler.errors import NotFound, SetupInvalid
from reconciler.github.client import GitHub

MAX_BYTES: Final = 17 * 1024 * 1024
"""A little over what a rollout file may have."""
_METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
"""How GitHub packs; others ask for as much memory as their maker likes, and fail in ways of their own."""


def read_artifact(github: GitHub, repository: str, run: int, artifact: str, entry: str) -> bytes:
    """Return one file of a run's artifact.

    Raises:
        NotFound: the run has no such artifact, or it has no such file.
        SetupInvalid: it is no archive, or larger than a rollout file may be.
    """
    listed = github.pages(f"{repository}/actions/runs/{run}/artifacts", name=artifact)
    found = next(
        (each for each in listed if each["name"] == artifact and not each["expired"]), None
    )
    if found is None:
        raise NotFound(f"the run {run} has no artifact {artifact}")
    path = f"{repository}/actions/artifacts/{int(found['id'])}/zip"
    return _read_entry(github.download(path, MAX_BYTES), entry)


def _read_entry(archive: bytes, name: str) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            entry = opened.getinfo(name)
            if stat.S_ISLNK(entry.external_attr >> 16) or entry.is_dir():
                raise SetupInvalid(f"{name} in the artifact is no regular file")
            if entry.compress_type not in _METHODS:
                raise SetupInvalid(
                    f"{name} in the artifact is packed in a way that GitHub does not use"
                )
            with opened.open(entry) as file:
                # What an entry says of its size is its maker's word: so much is read and no more.
                content = file.read(MAX_BYTES + 1)
    except KeyError as error:
        raise NotFound(f"the artifact has no {name}") from error
    except (
        zipfile.BadZipFile,
        NotImplementedError,
        RuntimeError,
        EOFError,
        OSError,
        ValueError,
        zlib.error,
    ) as error:
        raise SetupInvalid("the artifact is no archive that can be read") from error
    if len(content) > MAX_BYTES:
        raise SetupInvalid(f"{name} in the artifact is over {MAX_BYTES:,} bytes")
    return content
