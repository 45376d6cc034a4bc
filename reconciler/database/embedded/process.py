"""The server process of the embedded Postgres: starting, recognising and ending it.

A running server holds a lock on a file in the data folder. Its processes inherit the lock, so it is
held until the last of them ends. A process id in a file proves nothing: the file survives a kill,
and the system reuses the id for another process.
"""

import fcntl
import os
import re
import shutil
import signal
import socket
import stat
import struct
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from reconciler.database.embedded.account import Account, acting_as
from reconciler.database.embedded.binaries import Binaries
from reconciler.database.embedded.data import path_for, server_environment

PORT = "5432"
"""A part of the socket's name; the server does not listen on a network."""

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "port": PORT,
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "fsync": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "log_checkpoints": "off",
    # The log is for errors of the server, not for the content of statements.
    "log_min_error_statement": "panic",
    "logging_collector": "off",
    "log_destination": "stderr",
}
"""Given on the command line, so that the data folder holds no path and can be moved."""

# A socket's path has at most about 100 bytes; a project's path can be longer.
_SOCKET_PARENT = Path("/tmp")  # noqa: S108 - only a new private folder is made there, by mkdtemp  # nosec B108
_SOCKET_PREFIX = "reconcile-"
_SOCKET_NAME = f".s.PGSQL.{PORT}"
_SSL_REQUEST = struct.pack("!ii", 8, 80_877_103)
"""The message of Postgres' protocol that a server answers with one byte, before any sign-in."""
_LARGEST_LOG_BYTES = 1_000_000
_LARGEST_ENTRY_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server's entry in `postmaster.pid`; valid only while its lock is held."""

    process_id: int
    owner_id: int
    socket_folder: Path | None
    ready: bool

    def answers(self) -> bool:
        """Return whether it takes connections, at a socket that only its own account can have created."""
        if not self.ready or not _is_private(self.socket_folder, self.owner_id):
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(5)
            try:
                client.connect(f"{self.socket_folder}/{_SOCKET_NAME}")
                # A process that a killed server left behind can still hold the socket, and accepts nothing.
                client.sendall(_SSL_REQUEST)
                return client.recv(1) in (b"N", b"S")
            except OSError:
                return False

    def has_socket(self) -> bool:
        """Return whether its socket exists; a clean-up of temporary folders may have deleted it."""
        return (
            _is_private(self.socket_folder, self.owner_id)
            and Path(f"{self.socket_folder}/{_SOCKET_NAME}").exists()
        )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server, with the rights of its account; it may have ended already.

        A user who can write to the data folder can write another process's id there.
        """
        is_root = os.geteuid() == 0
        if is_root and self.owner_id == 0:
            # Postgres does not run as root, so this is not its entry.
            return
        with (
            acting_as(Account(self.owner_id, self.owner_id)) if is_root else nullcontext(),
            suppress(ProcessLookupError, PermissionError),
        ):
            os.kill(self.process_id, number)


def has_server(data: Path) -> bool:
    """Return whether any process of a server works on this data folder."""
    try:
        descriptor = os.open(_lock_file(data), os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def running_server(data: Path) -> RunningServer | None:
    """Return the entry of the server on this data folder; None before it wrote one."""
    try:
        descriptor = os.open(data / "postmaster.pid", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, encoding="utf-8", errors="replace") as entry:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return None
        owner_id = found.st_uid
        lines = entry.read(_LARGEST_ENTRY_BYTES).splitlines()
    if not lines or not re.fullmatch("[1-9][0-9]{0,9}", lines[0]):
        return None
    # By line: process id, data folder, start, port, socket folder, address, shared memory, state.
    socket_folder = Path(lines[4]) if len(lines) > 4 and lines[4] else None  # noqa: PLR2004
    ready = len(lines) > 7 and lines[7].strip() == "ready"  # noqa: PLR2004
    return RunningServer(int(lines[0]), owner_id, socket_folder, ready)


@dataclass(frozen=True, slots=True)
class LaunchedServer:
    """A server that was just started and is not ready yet."""

    process: subprocess.Popen[bytes]
    socket_folder: Path
    log: Path
    log_begins_at: int

    def last_words(self) -> str:
        """Return the log of a server that has ended, since its start; its socket is deleted."""
        shutil.rmtree(self.socket_folder, ignore_errors=True)
        return self.log.read_bytes()[self.log_begins_at :].decode(errors="replace")


def launch(
    data: Path, log: Path, binaries: Binaries, account: Account, settings: Mapping[str, str]
) -> LaunchedServer:
    """Start a server on a data folder that has none, and return before it is ready.

    It has its own session and inherits only the descriptor of its log: neither Ctrl-C nor a closed
    terminal ends it.
    """
    remove_leftovers(data)
    socket_folder = Path(tempfile.mkdtemp(prefix=_SOCKET_PREFIX, dir=_SOCKET_PARENT))
    options = {**SETTINGS, **settings, "unix_socket_directories": str(socket_folder)}
    try:
        account.give(socket_folder)
        with (
            _held_lock(data, account) as lock,
            _open_log(log, account) as output,
            path_for(account, data) as (path, descriptors),
        ):
            log_begins_at = os.fstat(output).st_size
            process = subprocess.Popen(
                [
                    binaries.program("postgres"),
                    "-D",
                    path,
                    *(
                        word
                        for name, value in options.items()
                        for word in ("-c", f"{name}={value}")
                    ),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env=server_environment(),
                start_new_session=True,
                pass_fds=(lock, *descriptors),
                **account.process_options(),
            )
    except BaseException:
        shutil.rmtree(socket_folder, ignore_errors=True)
        raise
    return LaunchedServer(process, socket_folder, log, log_begins_at)


def remove_leftovers(data: Path) -> None:
    """Delete the entry and the socket of a server that has ended; call it only while no server runs."""
    server = running_server(data)
    if server is not None and server.socket_folder is not None:
        remove_socket_folder(server)
    (data / "postmaster.pid").unlink(missing_ok=True)


def remove_socket_folder(server: RunningServer) -> None:
    """Delete the socket of a server that has ended, with its folder if `launch` created it."""
    folder = server.socket_folder
    if (
        folder is not None
        and folder.parent == _SOCKET_PARENT
        and folder.name.startswith(_SOCKET_PREFIX)
        and _is_private(folder, server.owner_id)
    ):
        shutil.rmtree(folder, ignore_errors=True)


def _lock_file(data: Path) -> Path:
    return data / "server.lock"


@contextmanager
def _held_lock(data: Path, account: Account) -> Iterator[int]:
    """Yield the lock of a running server; processes that inherit the descriptor keep holding it."""
    descriptor = os.open(_lock_file(data), os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        account.give(_lock_file(data))
        # Waits only for processes that check for a moment whether it is held.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        # Closed, not unlocked: an unlock would also unlock the server's descriptor.
        os.close(descriptor)


@contextmanager
def _open_log(log: Path, account: Account) -> Iterator[int]:
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    try:
        account.give(log)
        if os.fstat(descriptor).st_size > _LARGEST_LOG_BYTES:
            os.ftruncate(descriptor, 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _is_private(folder: Path | None, owner_id: int) -> bool:
    """Return whether this is a folder and not a link, of this owner, closed to all others."""
    if folder is None:
        return False
    try:
        found = folder.lstat()
    except OSError:
        return False
    closed = not stat.S_IMODE(found.st_mode) & 0o077
    return stat.S_ISDIR(found.st_mode) and found.st_uid == owner_id and closed
