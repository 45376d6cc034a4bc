"""The servers of the cluster: their configuration, their start, and the faults that a round makes."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import psutil
import psycopg

from tests.cluster.relay import Relay

PACKAGES: Final = "patroni etcd-server haproxy pgbouncer postgresql"
_INSTALLED: Final = Path("/usr/lib/postgresql")
POSTGRES: Final = max(
    _INSTALLED.glob("*/bin"),
    key=lambda folder: int(folder.parent.name),
    default=_INSTALLED / "none" / "bin",
)
"""The newest installed version."""
TTL_SECONDS: Final = 20
LOOP_SECONDS: Final = 4
NODES: Final = 3
START_SECONDS: Final = 180
_FIRST_PORT_OF_CONNECTIONS: Final = 32_768
_SHOWN_LINES: Final = 15
RECOVERY_SECONDS: Final = 180

_HTTP: Final = httpx.Client(trust_env=False)
"""One for all requests: each new one reads the certificates of the system."""
_PATH: Final = f"{POSTGRES}:/usr/sbin:/usr/bin:/sbin:/bin"


def missing_programs() -> list[str]:
    """Return the programs that are not installed."""
    wanted = ("patroni", "etcd", "haproxy", "pgbouncer", "postgres")
    return [each for each in wanted if shutil.which(each, path=_PATH) is None]


def _free_port() -> int:
    """Return a free port that no outgoing connection gets while its server is down."""
    while True:
        port = random.randrange(10_000, _FIRST_PORT_OF_CONNECTIONS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@dataclass
class Process:
    """A program of the cluster, with its output in a file."""

    name: str
    command: Sequence[str]
    folder: Path
    running: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start it; Postgres refuses to run as root, so nothing here does."""
        account = "postgres" if os.getuid() == 0 else None
        with (self.folder / f"{self.name}.log").open("ab") as output:
            self.running = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env={"PATH": _PATH, "LANG": "C.UTF-8", "HOME": str(self.folder)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                user=account,
                group=account,
                extra_groups=None if account is None else [],
            )

    def kill(self) -> None:
        """End it at once."""
        if self.running is not None:
            self.running.kill()
            self.running.wait()
            self.running = None


@dataclass
class Node:
    """One server of Postgres with its Patroni: a machine of its own, as far as the faults go."""

    name: str
    folder: Path
    port: int
    rest: int
    patroni: Process
    replication: Relay
    """The way of the other servers to this one."""
    etcd: list[Relay] = field(default_factory=list)
    """The ways of this server to each etcd."""

    @property
    def processes(self) -> list[psutil.Process]:
        """Patroni, the postmaster, and all of its processes."""
        found: list[psutil.Process] = []
        if self.patroni.running is not None:
            found.append(psutil.Process(self.patroni.running.pid))
        with suppress(OSError, ValueError, psutil.NoSuchProcess):
            pid = int((self.folder / "data" / "postmaster.pid").read_text().split("\n")[0])
            postmaster = psutil.Process(pid)
            if str(self.folder) in " ".join(postmaster.cmdline()):
                found += [postmaster, *postmaster.children(recursive=True)]
        return found

    def kill(self) -> None:
        """End the machine, as by a loss of power."""
        for each in self.processes:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        self.patroni.kill()

    def freeze(self) -> None:
        """Stop every process of the machine."""
        self._signal(signal.SIGSTOP)

    def freeze_patroni(self) -> None:
        """Stop Patroni alone."""
        if self.patroni.running is not None:
            self.patroni.running.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let every process of the machine go on."""
        self._signal(signal.SIGCONT)

    def start(self) -> None:
        """Start the machine."""
        self.patroni.start()

    def connect(self) -> "psycopg.Connection[Any]":
        """Return a connection of an administrator to this server."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user="postgres", dbname="postgres",
            autocommit=True, connect_timeout=5,
        )  # fmt: skip

    def _signal(self, number: signal.Signals) -> None:
        for each in self.processes:
            with suppress(psutil.NoSuchProcess):
                each.send_signal(number)


class Cluster:
    """Three etcd, three Patroni, HAProxy and PgBouncer."""

    def __init__(self, folder: Path, *, synchronous: bool) -> None:
        self.folder = folder
        self.synchronous = synchronous
        self.primary_ended_at: float | None = None
        _give(folder)
        self.etcds = self._make_etcds()
        self.nodes = [self._make_node(number) for number in range(NODES)]
        self.haproxy_port, self.pgbouncer_port = _free_port(), _free_port()
        self.to_haproxy = Relay(self.haproxy_port)
        """The way of the clients to the cluster."""
        self.proxies = [self._make_haproxy(), self._make_pgbouncer()]

    # -- Addresses of the clients.

    def url(self, database: str) -> str:
        """Return the address with every server of the cluster."""
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in self.nodes)
        return (
            f"postgresql://postgres@{hosts}/{database}?target_session_attrs=read-write"
            "&connect_timeout=3&sslmode=disable&gssencmode=disable"
        )

    def url_by_pgbouncer(self, database: str) -> str:
        """Return the address of PgBouncer, which connects through HAProxy to the primary."""
        return self._one(self.pgbouncer_port, database)

    def url_by_haproxy(self, database: str) -> str:
        """Return the address of HAProxy, which connects to the primary."""
        return self._one(self.to_haproxy.port, database)

    def _one(self, port: int, database: str) -> str:
        return (
            f"postgresql://postgres@127.0.0.1:{port}/{database}"
            "?connect_timeout=3&sslmode=disable&gssencmode=disable"
        )

    # -- Life.

    def start(self) -> None:
        """Start everything, and wait for a primary and two standbys."""
        for each in self.etcds:
            each.start()
        for node in self.nodes:
            node.start()
        for each in self.proxies:
            each.start()
        self.wait_until_whole(START_SECONDS)

    def stop(self) -> None:
        """End everything that was started."""
        for each in self.proxies:
            each.kill()
        for node in self.nodes:
            node.thaw()
            node.kill()
            for relay in (node.replication, *node.etcd):
                relay.close()
        for each in self.etcds:
            each.kill()
        self.to_haproxy.close()

    def repair(self) -> None:
        """End every fault, start what was killed, and wait for the whole cluster."""
        for each in self.etcds:
            if each.running is None:
                each.start()
        for node in self.nodes:
            node.thaw()
            for relay in (node.replication, *node.etcd):
                relay.mend()
            if node.patroni.running is None:
                node.start()
        self.to_haproxy.mend()
        self.wait_until_whole(RECOVERY_SECONDS)

    def wait_until_whole(self, seconds: float) -> None:
        """Wait for a primary and two standbys that follow it, one of them synchronous where that is set."""
        try:
            wait_for(self._is_whole, seconds, "the cluster did not become whole")
        except TimeoutError as error:
            logs = (node.folder / "patroni.log" for node in self.nodes)
            last = ("\n".join(log.read_text().splitlines()[-_SHOWN_LINES:]) for log in logs)
            raise TimeoutError("\n\n".join([str(error), *last])) from None

    # -- The state, from Patroni.

    def primary(self) -> Node:
        """Return the server that accepts writes, as Patroni shows it."""
        found: list[Node] = []

        def look() -> bool:
            found[:] = [each for each in self.nodes if _status(each, "/primary") == httpx.codes.OK]
            return len(found) == 1

        wait_for(look, RECOVERY_SECONDS, "there is no single primary")
        return found[0]

    def end_primary(self, primary: Node) -> None:
        """End the machine of the primary."""
        self.primary_ended_at = time.monotonic()
        primary.kill()

    def primary_or_none(self, old: Node) -> Node | None:
        """Return the primary if it is another server than `old`; None while there is none."""
        others = (each for each in self.nodes if each is not old)
        return next((each for each in others if _status(each, "/primary") == httpx.codes.OK), None)

    def set_synchronous(self, is_synchronous: bool) -> None:
        """Choose whether a standby confirms each COMMIT."""
        if is_synchronous != self.synchronous:
            self.synchronous = is_synchronous
            primary = self.primary()
            _HTTP.patch(
                f"http://127.0.0.1:{primary.rest}/config",
                json={"synchronous_mode": is_synchronous},
                timeout=10,
            ).raise_for_status()
            self.wait_until_whole(RECOVERY_SECONDS)

    def standbys(self) -> list[Node]:
        """Return the other servers, the synchronous one first."""
        primary = self.primary()
        others = [each for each in self.nodes if each is not primary]
        return sorted(others, key=lambda each: _status(each, "/synchronous") != httpx.codes.OK)

    def switch_over(self) -> None:
        """Let another server become the primary, as before an update of the primary's machine."""
        primary = self.primary()
        candidate = self.standbys()[0]
        body = {"leader": primary.name, "candidate": candidate.name}
        answer = _HTTP.post(
            f"http://127.0.0.1:{primary.rest}/switchover",
            json=body,
            timeout=90,
        )
        if answer.status_code != httpx.codes.OK:
            raise RuntimeError(f"Patroni made no switchover: {answer.text}")

    def _is_whole(self) -> bool:
        primaries = [each for each in self.nodes if _status(each, "/primary") == httpx.codes.OK]
        if len(primaries) != 1:
            return False
        try:
            with primaries[0].connect() as connection:
                rows = connection.execute(
                    "SELECT state, sync_state FROM pg_stat_replication"
                ).fetchall()
        except psycopg.Error:
            return False
        is_confirmed = any(sync == "sync" for _, sync in rows) and any(
            _status(each, "/synchronous") == httpx.codes.OK for each in self.nodes
        )
        return [state for state, _ in rows] == ["streaming"] * (NODES - 1) and (
            is_confirmed == self.synchronous
        )

    # -- Configuration.

    def _make_etcds(self) -> list[Process]:
        self._etcd_ports = [_free_port() for _ in range(NODES)]
        peers = [_free_port() for _ in range(NODES)]
        members = ",".join(f"e{n}=http://127.0.0.1:{port}" for n, port in enumerate(peers))
        found = []
        for number, (client, peer) in enumerate(zip(self._etcd_ports, peers, strict=True)):
            command = [
                "/usr/bin/etcd", "--name", f"e{number}",
                "--data-dir", str(self.folder / f"etcd{number}"),
                "--listen-client-urls", f"http://127.0.0.1:{client}",
                "--advertise-client-urls", f"http://127.0.0.1:{client}",
                "--listen-peer-urls", f"http://127.0.0.1:{peer}",
                "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}",
                "--initial-cluster", members, "--initial-cluster-state", "new", "--enable-v2",
                "--heartbeat-interval", "300", "--election-timeout", "3000",
                "--logger", "zap", "--log-level", "error",
            ]  # fmt: skip
            found.append(Process(f"etcd{number}", command, self.folder))
        return found

    def _make_node(self, number: int) -> Node:
        name, port, rest = f"pg{number}", _free_port(), _free_port()
        folder = self.folder / name
        folder.mkdir()
        _give(folder)
        replication = Relay(port)
        relays = [Relay(each) for each in self._etcd_ports]
        settings = {
            "scope": "rollout",
            "name": name,
            "restapi": {"listen": f"127.0.0.1:{rest}", "connect_address": f"127.0.0.1:{rest}"},
            # By the API of version 3, Patroni 3.0 takes the lock of a new primary back when the old one's machine
            # was frozen and goes on: it writes the key without a comparison.
            # As proxies: Patroni would ask them for the addresses of etcd, and go around a cut.
            "etcd": {"hosts": [f"127.0.0.1:{each.port}" for each in relays], "use_proxies": True},
            "bootstrap": {
                "dcs": {
                    "ttl": TTL_SECONDS,
                    "loop_wait": LOOP_SECONDS,
                    "retry_timeout": 7,
                    "maximum_lag_on_failover": 16 * 1024 * 1024,
                    "synchronous_mode": self.synchronous,
                    "postgresql": {
                        "use_pg_rewind": True,
                        "use_slots": True,
                        "parameters": {
                            "max_connections": 100,
                            "wal_keep_size": "256MB",
                            "wal_log_hints": "on",
                            "hot_standby": "on",
                            "fsync": "off",
                            "shared_buffers": "32MB",
                            "wal_receiver_timeout": "10s",
                            "wal_sender_timeout": "10s",
                        },
                    },
                },
                "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}, "data-checksums"],
            },
            "postgresql": {
                "listen": f"127.0.0.1:{port}",
                "connect_address": f"127.0.0.1:{replication.port}",
                "data_dir": str(folder / "data"),
                "bin_dir": str(POSTGRES),
                "pgpass": str(folder / "pgpass"),
                "authentication": {
                    "superuser": {"username": "postgres"},
                    "replication": {"username": "replicator"},
                },
                "pg_hba": [
                    "local all all trust",
                    "host all all 127.0.0.1/32 trust",
                    "host replication all 127.0.0.1/32 trust",
                ],
                "parameters": {"unix_socket_directories": str(folder)},
                "basebackup": {"checkpoint": "fast"},
            },
        }
        # JSON is YAML.
        file = folder / "patroni.yml"
        file.write_text(json.dumps(settings))
        process = Process("patroni", ["/usr/bin/patroni", str(file)], folder)
        return Node(name, folder, port, rest, process, replication, relays)

    def _make_haproxy(self) -> Process:
        servers = "\n".join(
            f"    server {each.name} 127.0.0.1:{each.port} maxconn 100 check port {each.rest}"
            for each in self.nodes
        )
        file = self.folder / "haproxy.cfg"
        file.write_text(f"""\
global
    maxconn 400
defaults
    mode tcp
    retries 2
    timeout client 30m
    timeout connect 4s
    timeout server 30m
    timeout check 5s
listen primary
    bind 127.0.0.1:{self.haproxy_port}
    option httpchk GET /primary
    http-check expect status 200
    default-server inter 1s fall 3 rise 1 on-marked-down shutdown-sessions
{servers}
""")
        return Process("haproxy", ["/usr/sbin/haproxy", "-db", "-f", str(file)], self.folder)

    def _make_pgbouncer(self) -> Process:
        users = self.folder / "users.txt"
        users.write_text('"postgres" ""\n')
        file = self.folder / "pgbouncer.ini"
        file.write_text(f"""\
[databases]
* = host=127.0.0.1 port={self.haproxy_port} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.pgbouncer_port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = transaction
server_fast_close = 1
server_login_retry = 1
server_connect_timeout = 4
server_check_delay = 0
ignore_startup_parameters = extra_float_digits,options
max_client_conn = 200
default_pool_size = 20
""")
        return Process("pgbouncer", ["/usr/sbin/pgbouncer", str(file)], self.folder)


def wait_for(condition: Callable[[], bool], seconds: float, problem: str) -> None:
    """Return as soon as the condition holds.

    Raises:
        TimeoutError: it did not hold in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{problem} within {seconds:.0f} s")
        time.sleep(0.1)


def _status(node: Node, path: str) -> int | None:
    try:
        url = f"http://127.0.0.1:{node.rest}{path}"
        return _HTTP.get(url, timeout=3).status_code
    except httpx.HTTPError:
        return None


def _give(folder: Path) -> None:
    """Give a folder to the account that Postgres runs as."""
    if os.getuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
