"""Artifacts of workflow runs. The artifact of a fork's run is hostile input.

It is not unpacked onto disk, and its metadata is not trusted: one entry is read, by a fixed name, up to a
size limit.
"""

import io
import stat
import zipfile
import zlib
from typing import Final

from reconciler.errors import NotFound, SetupInvalid
from reconciler.github.client import GitHub

MAX_BYTES: Final = 17 * 1024 * 1024
"""A little more than the limit of a rollout file."""
_METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
"""The methods that GitHub uses. Other methods can need any amount of memory, and fail in other ways."""


def read_artifact(github: GitHub, repository: str, run: int, artifact: str, entry: str) -> bytes:
    """Return one file of a run's artifact.

    Raises:
        NotFound: the run does not have the artifact, or the artifact does not have the file.
        SetupInvalid: it is not a valid archive, or it is larger than a rollout file may be.
    """
    listed = github.pages(f"{repository}/actions/runs/{run}/artifacts", name=artifact)
    found = next(
        (each for each in listed if each["name"] == artifact and not each["expired"]), None
    )
    if found is None:
        raise NotFound(f"run {run} has no artifact {artifact}")
    path = f"{repository}/actions/artifacts/{int(found['id'])}/zip"
    return _read_entry(github.download(path, MAX_BYTES), entry)


def _read_entry(archive: bytes, name: str) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            entry = opened.getinfo(name)
            if stat.S_ISLNK(entry.external_attr >> 16) or entry.is_dir():
                raise SetupInvalid(f"{name} in the artifact is not a regular file")
            if entry.compress_type not in _METHODS:
                raise SetupInvalid(
                    f"{name} in the artifact uses a compression method that GitHub does not use"
                )
            with opened.open(entry) as file:
                # The size in the archive's directory is not trusted: read up to the limit.
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
        raise SetupInvalid("the artifact is not a valid archive") from error
    if len(content) > MAX_BYTES:
        raise SetupInvalid(f"{name} in the artifact is over {MAX_BYTES:,} bytes")
    return content
