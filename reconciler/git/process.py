"""One child process, run to its end within limits of time and output.

The child leads its own process group, so its children (a helper, an ssh client) end with it.
"""

import os
import select
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

MAX_OUTPUT_BYTES: Final = 64 * 1024 * 1024
"""More than any file or any list of names that the reconciler reads."""
_MAX_MESSAGES_BYTES: Final = 128 * 1024
_CHUNK_BYTES: Final = 64 * 1024
_WRITTEN_AT_ONCE_BYTES: Final = select.PIPE_BUF
"""A pipe that is ready takes this much without a wait."""


class TooSlow(Exception):
    """The child did not end in time, and was ended."""


class TooMuchOutput(Exception):
    """The child printed too much, and was ended."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of a child, and its output."""

    exit_code: int
    output: bytes
    messages: bytes
    """The text on stderr; of a very long one the beginning and the end."""


def start(
    command: Sequence[str], environment: Mapping[str, str], stdin: int
) -> "subprocess.Popen[bytes]":
    """Start a child with only this environment, in its own process group."""
    return subprocess.Popen(
        command,
        env=environment,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def run(
    command: Sequence[str],
    environment: Mapping[str, str],
    stdin: bytes,
    timeout_seconds: float | None,
) -> Finished:
    """Run a child to its end.

    Raises:
        TooSlow: it did not end within `timeout_seconds`; None waits without a limit.
        TooMuchOutput: it printed more than `MAX_OUTPUT_BYTES`.
        OSError: there is no such program, or it cannot be run.
    """
    process = start(command, environment, subprocess.PIPE)
    try:
        output, messages = _converse(process, stdin, timeout_seconds)
        return Finished(process.wait(), output, messages)
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    finally:
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()


def _converse(
    process: "subprocess.Popen[bytes]", stdin: bytes, timeout_seconds: float | None
) -> tuple[bytes, bytes]:
    """Write all of `stdin` and read both streams to their ends, each as soon as it is ready."""
    assert process.stdin and process.stdout and process.stderr  # noqa: PT018, S101 - pipes, all
    deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    output, messages, unwritten = bytearray(), bytearray(), memoryview(stdin)
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdin, selectors.EVENT_WRITE)
        selector.register(process.stdout, selectors.EVENT_READ, output)
        selector.register(process.stderr, selectors.EVENT_READ, messages)
        while selector.get_map():
            left = None if deadline is None else deadline - time.monotonic()
            ready = [] if left is not None and left <= 0 else selector.select(left)
            if not ready and deadline is not None and time.monotonic() >= deadline:
                raise TooSlow
            for key, _ in ready:
                if key.fileobj is process.stdin:
                    unwritten = _write(process.stdin.fileno(), unwritten)
                    is_at_end = not unwritten
                else:
                    is_at_end = not _read(key.fd, key.data)
                if is_at_end:
                    selector.unregister(key.fileobj)
                    key.fileobj.close()  # type: ignore[union-attr] # a stream, as registered
            if len(output) > MAX_OUTPUT_BYTES:
                raise TooMuchOutput
            if len(messages) > _MAX_MESSAGES_BYTES:
                del messages[_MAX_MESSAGES_BYTES // 2 : -_MAX_MESSAGES_BYTES // 2]
    return bytes(output), bytes(messages)


def _write(descriptor: int, content: memoryview) -> memoryview:
    """Write some of the content; return the rest, or nothing if the child reads no more."""
    try:
        return content[os.write(descriptor, content[:_WRITTEN_AT_ONCE_BYTES]) :]
    except BrokenPipeError:
        return content[:0]


def _read(descriptor: int, kept: bytearray) -> bool:
    """Read some output; return whether there may be more."""
    chunk = os.read(descriptor, _CHUNK_BYTES)
    kept += chunk
    return bool(chunk)
