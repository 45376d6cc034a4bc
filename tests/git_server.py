"""A git remote over HTTPS with faults on demand: git's own backend behind a small server.

It can be slow, refuse, lose the answer to an accepted push, and protect branches with a 403 as
hosting services do.
"""

import os
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from tests.site import Site

PUSH = "/git-receive-pack"


@dataclass
class GitServer:
    """A remote and its current behaviour."""

    remote: Path
    certificate: Path
    port: int = 0
    protected: frozenset[str] = frozenset()
    """Branches whose pushes are answered with 403."""
    authorization: str | None = None
    """The header that every request must have."""
    answers_to_drop: int = 0
    """This many pushes are accepted without an answer."""
    redirect: str | None = None
    """Every request is sent to this address instead."""
    goes_on: threading.Event = field(default_factory=threading.Event)
    """Requests wait while this is not set."""
    requests: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}/{self.remote.name}"

    @property
    def pushes(self) -> int:
        """The number of pushes that sent commits."""
        return sum(request.endswith(PUSH) for request in self.requests)

    def serve(self, site: Site) -> None:
        """Make this remote the `origin` of a site."""
        site.git("remote", "set-url", "origin", self.url)
        site.git("config", "http.sslCAInfo", str(self.certificate))


@contextmanager
def git_server(remote: Path, folder: Path) -> Iterator[GitServer]:
    """Serve a bare repository to clients that trust its certificate."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-days", "2"),
            *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=127.0.0.1"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    subprocess.run(
        ["git", "--git-dir", str(remote), "config", "http.receivepack", "true"], check=True
    )
    server = GitServer(remote, certificate)
    server.goes_on.set()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(server))
    http.daemon_threads = True
    http.socket = context.wrap_socket(http.socket, server_side=True, do_handshake_on_connect=False)
    server.port = http.server_port
    thread = threading.Thread(target=http.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.goes_on.set()
        http.shutdown()
        thread.join()
        http.server_close()


def _handler(server: GitServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["Content-Length"])))

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

        def _answer(self, body: bytes) -> None:
            address = urlsplit(self.path)
            server.requests.append(f"{self.command} {address.path}")
            server.goes_on.wait()
            if server.redirect is not None:
                self.send_response(302)
                self.send_header("Location", f"{server.redirect}{self.path}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if server.authorization not in {None, self.headers.get("Authorization")}:
                self.send_error(401)
                return
            is_push = address.path.endswith(PUSH)
            if is_push and any(
                f"refs/heads/{each}\0".encode() in body for each in server.protected
            ):
                self.send_error(403)
                return
            answer = self._ask_git(address.path, address.query, body)
            if is_push and server.answers_to_drop:
                server.answers_to_drop -= 1
                self.close_connection = True
                return
            head, _, content = answer.partition(b"\r\n\r\n")
            length = f"Content-Length: {len(content)}".encode()
            self.wfile.write(b"\r\n".join([b"HTTP/1.0 200 OK", head, length, b"", content]))

        def _ask_git(self, path: str, query: str, body: bytes) -> bytes:
            variables = {
                **os.environ,
                "GIT_PROJECT_ROOT": str(server.remote.parent),
                "GIT_HTTP_EXPORT_ALL": "1",
                "REMOTE_USER": "somebody",
                "REQUEST_METHOD": self.command,
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "HTTP_GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            }
            done = subprocess.run(
                ["git", "http-backend"], env=variables, input=body, capture_output=True, check=True
            )
            return done.stdout

    return Handler
