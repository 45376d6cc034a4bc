"""The embedded server of one project: started on demand, left running, stopped on request.

The project's `.reconcile` folder holds its data, its log and, while it runs, the place of its socket. Two
starts at once start one server.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from reconciler.database.embedded.account import ROOT, Account, account_for, acting_as, is_acting
from reconciler.database.embedded.process import (
    PORT,
    LaunchedServer,
    RunningServer,
    has_server,
    launch,
    remove_leftovers,
    remove_socket_folder,
    running_server,
)
from reconciler.errors import ReconcilerError, SetupInvalid, Unavailable

_START_TIMEOUT_SECONDS = 60.0
_STOP_TIMEOUT_SECONDS = 30.0
_POLL_SECONDS = 0.005


class ServerState(StrEnum):
    """The state of a server."""

    ABSENT = "absent"
    """The data folder does not exist; the first start creates it."""
    STOPPED = "stopped"
    STARTING = "starting"
    """It runs but accepts no connections: it starts, recovers or stops."""
    RUNNING = "running"


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """A server's state; it has a URL while it runs."""

    state: ServerState
    data_folder: Path
    log_file: Path
    process_id: int | None = None
    url: str | None = None


class EmbeddedServer:
    """The Postgres whose data is in `folder`, usually `.reconcile` beside the rollout file.

    `settings` are settings of Postgres that replace the defaults; they apply from the next start.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self._folder = folder.absolute()
        self._data = self._folder / "postgres"
        self._log = self._folder / "postgres.log"
        self._settings = settings or {}

    def start(self) -> str:
        """Start the server if it does not run, and return its URL for libpq, which has no secret.

        The first start creates the data folder.

        Raises:
            SetupInvalid: a permission, an account, a program or the data folder is wrong.
            Unavailable: it does not start; the message has its last log line.
        """
        with self._own_errors(), self._owners_rights():
            server = self._answering_server()
            if server is None:
                with self._start_lock():
                    server = self._settled_server() or self._launched_server()
            return _url(server)

    def stop(self) -> bool:
        """End the server and its connections; return whether it ran.

        Raises:
            SetupInvalid: it belongs to another user.
            Unavailable: it does not end.
        """
        with self._own_errors(), self._owners_rights():
            if not self._has_data():
                return False
            with self._start_lock():
                if not has_server(self._data):
                    remove_leftovers(self._data)
                    return False
                self._end()
                return True

    def status(self) -> ServerStatus:
        """Return the server's present state; change nothing.

        Raises:
            SetupInvalid: it belongs to another user.
        """
        with self._own_errors(), self._owners_rights():
            if not self._has_data():
                return ServerStatus(ServerState.ABSENT, self._data, self._log)
            if not has_server(self._data):
                return ServerStatus(ServerState.STOPPED, self._data, self._log)
            server = running_server(self._data)
            if server is None:
                return ServerStatus(ServerState.STARTING, self._data, self._log)
            if not server.answers():
                return ServerStatus(ServerState.STARTING, self._data, self._log, server.process_id)
            return ServerStatus(
                ServerState.RUNNING, self._data, self._log, server.process_id, _url(server)
            )

    def _answering_server(self) -> RunningServer | None:
        if not has_server(self._data):
            return None
        server = running_server(self._data)
        return server if server is not None and server.answers() else None

    def _settled_server(self) -> RunningServer | None:
        """Return the running server, after waiting if it starts or ends; None if there is none.

        A server that neither answers nor ends is ended, for example one whose socket was deleted.
        """
        deadline = time.monotonic() + _START_TIMEOUT_SECONDS
        while has_server(self._data):
            server = running_server(self._data)
            if server is not None and server.answers():
                return server
            if server is not None and server.ready and not server.has_socket():
                self._end()
            elif time.monotonic() > deadline:
                raise Unavailable(
                    f"the embedded database in {self._folder} is still starting or ending: "
                    f"see {self._log}, and try again"
                )
            time.sleep(_POLL_SECONDS)
        return None

    def _launched_server(self) -> RunningServer:
        from reconciler.database.embedded.binaries import installed_binaries, runnable_binaries
        from reconciler.database.embedded.data import (
            account_of_data_folder,
            check_version,
            make_data_folder,
        )

        account = account_for(self._folder.parent)
        has_data = self._has_data()
        if has_data:
            account = account_of_data_folder(self._data, account)
        # The packages may be in a folder that only root can read.
        with acting_as(ROOT) if is_acting() else nullcontext():
            binaries = runnable_binaries(installed_binaries(), account)
        if has_data:
            check_version(self._data, binaries.major_version(account))
        else:
            make_data_folder(self._data, binaries, account)
        return self._ready_server(launch(self._data, self._log, binaries, account, self._settings))

    def _ready_server(self, launched: LaunchedServer) -> RunningServer:
        process = launched.process
        deadline = time.monotonic() + _START_TIMEOUT_SECONDS
        while process.poll() is None:
            server = running_server(self._data)
            if server is not None and server.process_id == process.pid and server.answers():
                # The server continues after this process; Python must not warn about that.
                process.returncode = 0
                return server
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"the embedded database in {self._folder} is still recovering: "
                    f"see {self._log}, and try again"
                )
            time.sleep(_POLL_SECONDS)
        from reconciler.database.embedded.data import last_line

        raise Unavailable(
            f"the embedded database in {self._folder} does not start: "
            f"{last_line(launched.last_words()) or 'its log is empty'}; correct this and try again"
        )

    def _end(self) -> None:
        """End the server in order, or at once if it does not react."""
        for number in (signal.SIGINT, signal.SIGQUIT):
            server = running_server(self._data)
            if server is not None:
                server.signal(number)
            deadline = time.monotonic() + _STOP_TIMEOUT_SECONDS
            while has_server(self._data) and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
            if not has_server(self._data):
                if server is not None:
                    remove_socket_folder(server)
                remove_leftovers(self._data)
                return
        raise Unavailable(
            f"the embedded database in {self._folder} does not end: see {self._log}, and try again"
        )

    @contextmanager
    def _start_lock(self) -> Iterator[None]:
        """Let one process at a time start or stop this server."""
        from filelock import FileLock, Timeout

        self._make_folder()
        lock = FileLock(
            self._folder / "start.lock", timeout=2 * _START_TIMEOUT_SECONDS, poll_interval=0.01
        )
        try:
            lock.acquire()
        except Timeout as error:
            raise Unavailable(
                f"another command has tried to start the embedded database in {self._folder} for "
                "minutes: end that command, and try again"
            ) from error
        try:
            self._give_to_project_owner(self._folder / "start.lock")
            yield
        finally:
            lock.release()

    def _make_folder(self) -> None:
        if self._folder.is_symlink():
            raise SetupInvalid(
                f"{self._folder} is a link, which a checkout can contain: replace it by a folder"
            )
        self._folder.mkdir(mode=0o755, exist_ok=True)
        self._give_to_project_owner(self._folder)
        ignored = self._folder / ".gitignore"
        with suppress(FileExistsError):
            # A link counts as existing: nothing is written to its target.
            descriptor = os.open(ignored, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write("*\n")
            self._give_to_project_owner(ignored)

    def _has_data(self) -> bool:
        if self._data.is_symlink():
            raise SetupInvalid(
                f"{self._data} is a link, which a checkout can contain: replace it by a folder"
            )
        return self._data.is_dir()

    @contextmanager
    def _owners_rights(self) -> Iterator[None]:
        """Act with the rights of the project's owner if root works for another user.

        An owner without an entry in the account database cannot run Postgres; root then keeps its
        rights.
        """
        project = self._folder.parent
        if os.geteuid() != 0 or not project.is_dir():
            yield
            return
        account = account_for(project)
        with acting_as(account) if account.user_id == project.stat().st_uid else nullcontext():
            yield

    def _give_to_project_owner(self, path: Path) -> None:
        """Give a file that root creates to the project's owner, who can then continue without root."""
        if os.geteuid() == 0:
            found = self._folder.parent.stat()
            Account(found.st_uid, found.st_gid).give(path)

    @contextmanager
    def _own_errors(self) -> Iterator[None]:
        """Raise errors of the file system as messages of one line."""
        try:
            yield
        except ReconcilerError:
            raise
        except PermissionError as error:
            raise SetupInvalid(
                f"the embedded database in {self._folder} belongs to another user, or can't be written "
                f"({error.strerror}): run reconcile as that user, or set DATABASE_URL"
            ) from error
        except (OSError, subprocess.SubprocessError) as error:
            reason = str(error)
            if isinstance(error, OSError) and error.strerror:
                reason = f"{error.filename or 'the system'}: {error.strerror}"
            raise Unavailable(
                f"the embedded database in {self._folder} can't be used: {reason}; correct this "
                "and try again"
            ) from error


def _url(server: RunningServer) -> str:
    from urllib.parse import quote

    from reconciler.database.embedded.data import DATABASE, SUPERUSER

    folder = quote(str(server.socket_folder), safe="")
    # With its port, since libpq would otherwise take it from PGPORT.
    return f"postgresql://{SUPERUSER}@/{DATABASE}?host={folder}&port={PORT}"
