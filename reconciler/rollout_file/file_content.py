"""The file's bytes: opened without following a symlink, limited in size, and decoded.

A rollout file is a regular file. A link, a pipe or a device in its place is refused without being read, so
that the program does not hang and does not read another file.
"""

import errno
import os
import stat
from pathlib import Path

from reconciler.errors import FileInvalid, Finding, SetupInvalid
from reconciler.rollout_file.characters import position

MAX_MEBIBYTES = 16
MAX_BYTES = MAX_MEBIBYTES * 1024 * 1024

_BYTE_ORDER_MARK = "\ufeff"
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def read_content(path: Path) -> bytes:
    """Return the file's content.

    Raises:
        FileInvalid: it is a symlink, not a regular file, or too large.
        SetupInvalid: it is missing or can't be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise SetupInvalid(
            f"{path}: the file does not exist; write a first one with `reconcile init`, "
            "or name another with --file"
        ) from error
    except OSError as error:
        raise _not_opened(path, error) from error
    except ValueError as error:
        raise SetupInvalid(f"{str(path)!r} is not a file name; name another with --file") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _refused(path, "this is not a regular file; put the file itself here")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _unreadable(path, error) from error
    finally:
        os.close(descriptor)
    check_size(content, str(path))
    return content


def check_size(content: bytes, path: str) -> None:
    """Refuse a content that is too large for a rollout file.

    Raises:
        FileInvalid: it is over 16 MiB.
    """
    if len(content) > MAX_BYTES:
        raise _refused(path, f"the file is larger than {MAX_MEBIBYTES} MiB; shorten it")


def decode(content: bytes, path: str) -> str:
    """Return the file's text, without its byte-order mark.

    Raises:
        FileInvalid: it is not UTF-8.
    """
    if content.startswith(_UTF_16_MARKS):
        raise _refused(path, "the file is UTF-16; save it as UTF-8")
    try:
        return content.decode().removeprefix(_BYTE_ORDER_MARK)
    except UnicodeDecodeError as error:
        before = content[: error.start].decode().removeprefix(_BYTE_ORDER_MARK)
        message = f"byte 0x{content[error.start]:02x} is not UTF-8; save the file as UTF-8"
        raise FileInvalid(path, (Finding(*position(before), message),)) from error


def _not_opened(path: Path, error: OSError) -> FileInvalid | SetupInvalid:
    if error.errno in {errno.ELOOP, errno.EMLINK} and path.is_symlink():
        return _refused(path, "this is a symlink, which is not followed; put the file itself here")
    if error.errno in {errno.ENXIO, errno.ENODEV}:
        return _refused(path, "this is not a regular file; put the file itself here")
    return _unreadable(path, error)


def _unreadable(path: Path, error: OSError) -> SetupInvalid:
    reason = os.strerror(error.errno) if error.errno else "it can't be read"
    return SetupInvalid(f"{path}: {reason}; make the file readable, or name another with --file")


def _refused(path: Path | str, message: str) -> FileInvalid:
    return FileInvalid(str(path), (Finding(1, 1, message),))
