"""A proxy between the reconciler and Postgres that can cut or hold a connection at any message.

The proxy knows the start and the end of each protocol message in both directions. It asks a rule
what to do with each message. It refuses encryption, because it reads the messages.
"""

import select
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Self

from reconciler.database.address import DatabaseAddress
from tests.postgres import Database

HUNG_UP = getattr(select, "POLLRDHUP", select.POLLHUP)
_CANCEL, _SSL, _GSS = 80877102, 80877103, 80877104
_POLL_SECONDS = 0.01
_DEADLINE_SECONDS = 30


class Side(Enum):
    """The sender of a message."""

    FRONTEND = auto()
    BACKEND = auto()


class Deed(Enum):
    """What the proxy does with a message and its connection."""

    PASS = auto()
    CUT_BEFORE = auto()
    """The message is lost, and both ends find the connection closed."""
    CUT_AFTER = auto()
    """The message arrives, and then both ends find the connection closed."""
    HOLD = auto()
    """The message and all later ones wait until they are released or the client disconnects."""
    SEVER = auto()
    """The client finds the connection closed; the server sees a held message, as under HOLD."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the protocol; numbers count from 1."""

    side: Side
    number: int
    """Its number among all messages of this sender, over all connections."""
    connection: int
    kind: bytes
    """The letter; empty for the first message of a connection, which has none."""
    content: bytes

    def says(self, text: str) -> bool:
        return text.encode() in self.content

    @property
    def commits(self) -> bool:
        """Whether this message is COMMIT."""
        return (self.side, self.kind, self.content) == (Side.FRONTEND, b"Q", b"COMMIT\0")

    @property
    def answers_commit(self) -> bool:
        """Whether this message confirms COMMIT."""
        return (self.side, self.kind, self.content) == (Side.BACKEND, b"C", b"COMMIT\0")

    @property
    def encoded(self) -> bytes:
        return self.kind + struct.pack("!I", len(self.content) + 4) + self.content


Rule = Callable[[Message], Deed]


def pass_all(_: Message) -> Deed:
    return Deed.PASS


class FaultProxy:
    """Listens on its own port for the clients of a test's database, until the `with` block ends."""

    def __init__(self, database: Database, rule: Rule = pass_all) -> None:
        self.rule = rule
        self.accepts: Callable[[int], bool] = lambda _: True
        """Whether the connection with this number is accepted; numbers count from 1."""
        self.messages: list[Message] = []
        self.holding = threading.Event()
        """Set when a message is held."""
        self.delivered = threading.Event()
        """Set when the server has answered a severed message after its release, or has dropped it."""
        self._released = threading.Event()
        self._dropped = threading.Event()
        self._closing = threading.Event()
        self._address = database.address
        self._lock = threading.Lock()
        self._counts: Counter[Side] = Counter()
        self._wires: list[_Wire] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self._listener.settimeout(_POLL_SECONDS)
        self._accepting = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.drop()
        self._closing.set()
        self._accepting.join(_DEADLINE_SECONDS)
        self._listener.close()
        for wire in self._wires:
            wire.end()

    @property
    def address(self) -> DatabaseAddress:
        port = str(self._listener.getsockname()[1])
        return DatabaseAddress({**self._address.parameters, "host": "127.0.0.1", "port": port})

    @property
    def url(self) -> str:
        return self.address.url

    def release(self) -> None:
        """Forward all held messages and stop holding."""
        self._released.set()

    def drop(self) -> None:
        """Cut the connections with a held message."""
        self._dropped.set()

    def count(self, side: Side) -> int:
        """Return the number of messages that this side has sent."""
        with self._lock:
            return self._counts[side]

    def decide(
        self, side: Side, connection: int, kind: bytes, content: bytes
    ) -> tuple[Message, Deed]:
        """Count a message, keep it, and ask the rule about it."""
        with self._lock:
            self._counts[side] += 1
            message = Message(side, self._counts[side], connection, kind, content)
            self.messages.append(message)
        return message, self.rule(message)

    def wait_for_release(self, given_up: Callable[[], bool]) -> bool:
        """Hold until released or given up; return whether it was released."""
        self.holding.set()
        while not self._released.wait(_POLL_SECONDS):
            if self._dropped.is_set() or given_up():
                return False
        return True

    def _accept(self) -> None:
        number = 0
        while not self._closing.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            number += 1
            if not self.accepts(number):
                client.close()
                continue
            server = socket.socket(socket.AF_UNIX)
            parameters = self._address.parameters
            server.connect(f"{parameters['host']}/.s.PGSQL.{parameters['port']}")
            wire = _Wire(self, number, client, server)
            self._wires.append(wire)
            wire.begin()


class _Wire:
    """One connection: a thread for each direction."""

    def __init__(
        self, proxy: FaultProxy, number: int, client: socket.socket, server: socket.socket
    ) -> None:
        self._proxy, self._number = proxy, number
        self._client, self._server = client, server
        self._severed = False
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._threads = [
            threading.Thread(target=self._carry, args=(each,), daemon=True) for each in Side
        ]

    def begin(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._cut()
        for thread in self._threads:
            thread.join(_DEADLINE_SECONDS)
            assert not thread.is_alive()
        self._client.close()
        self._server.close()

    def _carry(self, side: Side) -> None:
        source, target = (
            (self._client, self._server) if side is Side.FRONTEND else (self._server, self._client)
        )
        try:
            if side is Side.FRONTEND:
                self._carry_first()
            while self._carry_one(side, source, target):
                pass
        except OSError:
            pass
        if not (self._severed and side is Side.FRONTEND):
            self._cut()

    def _carry_first(self) -> None:
        while True:
            content = _read(self._client, _length(self._client))
            match int.from_bytes(content[:4], "big"):
                case code if code in (_SSL, _GSS):
                    self._client.sendall(b"N")
                case code if code == _CANCEL:
                    self._server.sendall(struct.pack("!I", len(content) + 4) + content)
                case _:
                    message, deed = self._proxy.decide(Side.FRONTEND, self._number, b"", content)
                    if not self._deliver(message, deed, self._server):
                        raise ConnectionAbortedError
                    return

    def _carry_one(self, side: Side, source: socket.socket, target: socket.socket) -> bool:
        kind = _read(source, 1)
        content = _read(source, _length(source))
        if self._severed:
            # The receiver is gone; only the end of the answer matters.
            return kind != b"Z"
        message, deed = self._proxy.decide(side, self._number, kind, content)
        return self._deliver(message, deed, target)

    def _deliver(self, message: Message, deed: Deed, target: socket.socket) -> bool:
        """Do with a message what the rule says; return whether the connection continues."""
        match deed:
            case Deed.PASS:
                target.sendall(message.encoded)
            case Deed.CUT_BEFORE:
                return False
            case Deed.CUT_AFTER:
                target.sendall(message.encoded)
                return False
            case Deed.HOLD:
                if not self._proxy.wait_for_release(self._client_is_gone):
                    return False
                target.sendall(message.encoded)
            case Deed.SEVER:
                self._severed = True
                _shut(self._client)
                if self._proxy.wait_for_release(lambda: False):
                    target.sendall(message.encoded)
                else:
                    _shut(self._server)
                return False
        return True

    def _client_is_gone(self) -> bool:
        """Return whether it disconnected, also if its earlier data is not read yet."""
        waiting = select.poll()
        waiting.register(self._client, HUNG_UP)
        return bool(waiting.poll(0))

    def _cut(self) -> None:
        _shut(self._client)
        _shut(self._server)
        if self._severed:
            self._proxy.delivered.set()


def _shut(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def _length(source: socket.socket) -> int:
    length: int = struct.unpack("!I", _read(source, 4))[0]
    return length - 4


def _read(source: socket.socket, size: int) -> bytes:
    content = b""
    while len(content) < size:
        part = source.recv(size - len(content))
        if not part:
            raise ConnectionAbortedError
        content += part
    return content
