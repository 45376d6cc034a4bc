"""A network between a client and its database; a test can cut it at any byte."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from functools import partial
from types import TracebackType
from typing import Self

from reconciler.database.address import DatabaseAddress
from tests.postgres import Database


class Verdict(Enum):
    """What the proxy does with sent bytes."""

    FORWARD = auto()
    CUT = auto()
    """They are lost, and the connection is closed."""
    FORWARD_AND_CUT = auto()
    """They arrive, and no answer comes back."""


def forward(_sent: bytes) -> Verdict:
    return Verdict.FORWARD


class Proxy:
    """Listens until the `with` block ends; asks for a verdict in each direction of a connection."""

    def __init__(
        self,
        database: Database,
        to_server: Callable[[bytes], Verdict] = forward,
        to_client: Callable[[bytes], Verdict] = forward,
        *,
        at_once: int = 65536,
    ) -> None:
        self.lead_to(database.url)
        self._to_server = to_server
        self._to_client = to_client
        self._at_once = at_once
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self.is_up = True
        """While this is not set, new connections are refused."""
        parameters = database.address.parameters
        self.url = (
            f"postgresql://{parameters['user']}@127.0.0.1:{self._listener.getsockname()[1]}"
            f"/{parameters['dbname']}?sslmode=disable&gssencmode=disable"
        )

    def lead_to(self, url: str) -> None:
        """Forward new connections to the server of this URL."""
        parameters = DatabaseAddress.parse(url).parameters
        self._target = f"{parameters['host']}/.s.PGSQL.{parameters['port']}"

    def cut(self) -> None:
        """End all connections without a message to either side."""
        with self._lock:
            for each in self._sockets:
                _shut(each)

    def __enter__(self) -> Self:
        self._run(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _shut(self._listener)
        self.cut()
        for thread in self._threads:
            thread.join()
        for each in [*self._sockets, self._listener]:
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            with self._lock:
                self._sockets += [client, server]
            try:
                if not self.is_up:
                    raise ConnectionRefusedError
                server.connect(self._target)
            except OSError:
                _shut(client)
                continue
            self._run(partial(self._pass_on, client, server, self._to_server))
            self._run(partial(self._pass_on, server, client, self._to_client))

    def _pass_on(
        self, source: socket.socket, target: socket.socket, judge: Callable[[bytes], Verdict]
    ) -> None:
        try:
            while sent := source.recv(self._at_once):
                verdict = judge(sent)
                if verdict is not Verdict.CUT:
                    target.sendall(sent)
                if verdict is Verdict.FORWARD_AND_CUT:
                    # The client is gone before the answer comes; the server still reads.
                    _shut(source)
                if verdict is not Verdict.FORWARD:
                    break
        except OSError:
            pass
        _shut(source)
        _shut(target)

    def _run(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()


def _shut(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
