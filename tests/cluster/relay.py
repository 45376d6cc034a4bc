"""A relay between two addresses of this machine: a network cable that a round pulls out or lets hang."""

import socket
import threading
from contextlib import suppress

COMMITTED = b"C\0\0\0\x0bCOMMIT\0"
"""The server's answer to COMMIT."""
CLAIM = b"claim_rollout_write"
"""Part of a statement that each write sends."""


class Relay:
    """Forwards connections to a port of this machine."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._hanging: set[socket.socket] = set()
        self._writing: set[socket.socket] = set()
        """The servers' sides of the connections on which a client began a write."""
        self._is_cut = False
        self.is_losing = False
        """Until an answer to COMMIT was lost."""
        self._is_over = False
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End all connections, and refuse new ones, until `mend`."""
        self._is_cut = True
        self._shut_all()

    def hang_present(self) -> None:
        """Keep the present connections open, and pass nothing more on; new ones work."""
        with self._lock:
            self._hanging |= self._sockets

    def lose_answer_of_commit(self) -> None:
        """Cut the connection on which the next COMMIT of a write is answered, before the answer passes."""
        self.is_losing = True

    def mend(self) -> None:
        """Accept connections again."""
        self._is_cut = False

    def close(self) -> None:
        """End the relay."""
        self._is_over = True
        self.mend()
        _shut(self._listener)
        self._shut_all()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._is_cut or self._is_over:
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._target), timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            with self._lock:
                self._sockets |= {client, server}
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while sent := source.recv(65536):
                if CLAIM in sent:
                    self._writing.add(sink)
                if self._is_lost(source, sent):
                    break
                if source not in self._hanging:
                    sink.sendall(sent)
        _shut(source)
        _shut(sink)
        with self._lock:
            self._sockets.discard(source)
        source.close()

    def _is_lost(self, source: socket.socket, sent: bytes) -> bool:
        with self._lock:
            is_lost = self.is_losing and source in self._writing and COMMITTED in sent
            if is_lost:
                self.is_losing = False
            return is_lost

    def _shut_all(self) -> None:
        with self._lock:
            found = tuple(self._sockets)
        for each in found:
            _shut(each)


def _shut(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
