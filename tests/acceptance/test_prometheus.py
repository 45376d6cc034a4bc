"""Metrics from Prometheus: a real one that scrapes a service, and simulated servers."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import httpx
import pytest

from reconciler.errors import SetupInvalid, Unavailable
from reconciler.planning.health import JobMetrics, Period
from reconciler.prometheus import server as prometheus_server
from reconciler.prometheus.server import PrometheusServer
from reconciler.prometheus.source import PrometheusMetrics
from reconciler.prometheus.templates import DEFAULT_ERRORS, DEFAULT_JOBS, Template
from tests.eventually import eventually
from tests.site import Site

FILE = """\
version: 1
features:
  capture:
    percentage: 100
    health: {min_jobs: 5}
    guards: {max_increase: 100}
"""
PERIOD = Period(datetime(2026, 11, 23, 12, tzinfo=UTC), timedelta(minutes=5))

Handle = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def serving(handle: Handle) -> Iterator[str]:
    """Serve each GET with a handler; yield the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            handle(self)

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def send(
    request: BaseHTTPRequestHandler, status: int, content: bytes = b"", **headers: str
) -> None:
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), value)
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    request.wfile.write(content)


def answering(status: int, content: bytes = b"", **headers: str) -> Handle:
    return lambda request: send(request, status, content, **headers)


def vector(value: str) -> bytes:
    return json.dumps(
        {
            "status": "success",
            "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1, value]}]},
        }
    ).encode()


def read(url: str, token: str | None = None) -> JobMetrics:
    source = PrometheusMetrics(
        PrometheusServer.parse(url, token), Template(DEFAULT_JOBS), Template(DEFAULT_ERRORS)
    )
    return source.read_metrics("capture", PERIOD)


def failure(url: str) -> str:
    with pytest.raises(Unavailable) as failed:
        read(url)
    message = str(failed.value)
    assert message.startswith(f"Prometheus at {url}: ")
    return message.removeprefix(f"Prometheus at {url}: ")


@pytest.mark.parametrize(
    ("handle", "message"),
    [
        (
            answering(401),
            "it rejects the credentials (401); set PROMETHEUS_TOKEN",
        ),
        (
            answering(403, b"<html>"),
            "it rejects the credentials (403); set PROMETHEUS_TOKEN",
        ),
        (answering(404), "it answers with status 404"),
        (answering(503, b"busy"), "it answers with status 503"),
        (answering(200, b"<html>sign in</html>"), "the answer is not JSON"),
        (answering(200, vector("NaN")), "the query returns nan, which is not a number of jobs"),
        (
            answering(400, b'{"status": "error", "error": "1:5: parse error"}'),
            "it reports: 1:5: parse error",
        ),
        (answering(200, b" " * (5 * 1024 * 1024)), "the answer is over 4 MiB"),
        (
            lambda request: request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"),
            "the answer ended early, or is not HTTP",
        ),
        (
            lambda request: request.wfile.write(b"220 mail.example.com ESMTP\r\n"),
            "the answer ended early, or is not HTTP",
        ),
    ],
)
def test_an_invalid_answer_is_reported_in_one_line(handle: Handle, message: str) -> None:
    with serving(handle) as url:
        assert failure(url) == message


def test_an_absent_server_is_reported_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
    assert failure(f"http://127.0.0.1:{port}").startswith("it cannot be reached: ")


def test_a_redirect_is_not_followed_and_gets_no_token() -> None:
    asked: list[str] = []

    def handle(request: BaseHTTPRequestHandler) -> None:
        asked.append(request.path.partition("?")[0])
        send(request, 302, Location="/elsewhere")

    with serving(handle) as url:
        assert failure(url) == (
            "it redirects (302), and redirects are not followed; use the target address"
        )
    assert asked == ["/api/v1/query"]


@pytest.mark.parametrize("begin", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n\r\n{"])
def test_an_endless_answer_is_cut_off(begin: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus_server, "DEADLINE_SECONDS", 0.3)
    done = Event()

    def handle(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(begin)
        # One byte now and then prevents every socket timeout.
        deadline = time.monotonic() + 10
        while not done.wait(0.05) and time.monotonic() < deadline:
            request.wfile.write(b" " if begin else b"")

    with serving(handle) as url:
        assert failure(url) == "no answer within 0.3 seconds"
        done.set()


def test_credentials_go_to_the_server_and_to_no_message() -> None:
    seen: list[tuple[str, str | None]] = []

    def handle(request: BaseHTTPRequestHandler) -> None:
        seen.append((request.path.partition("?")[0], request.headers["Authorization"]))
        send(request, 200, vector("12"))

    with serving(handle) as url:
        named = PrometheusServer.parse(url.replace("//", "//ada:s%40cret@") + "/below/", None)
        assert named.url == f"{url}/below"
        assert "cret" not in repr(named)
        assert read(url.replace("//", "//ada:s%40cret@") + "/below/").total.jobs == 12
        assert read(url, token="t0ken\n").total.jobs == 12
        assert "t0ken" not in repr(PrometheusServer.parse(url, "t0ken"))
    assert (
        seen
        == [("/below/api/v1/query", "Basic YWRhOnNAY3JldA==")] * 2
        + [("/api/v1/query", "Bearer t0ken")] * 2
    )


@pytest.mark.parametrize(
    ("url", "token"),
    [
        ("prometheus:9090", None),
        ("ftp://s3cret@host", None),
        ("http://", None),
        ("http://host:port", None),
        ("http://host:99999", None),
        ("http://[s3cret", None),
        ("http://host/?token=s3cret", None),
        ("http://ho st/s3cret", None),
        ("http://host\n/s3cret", None),
        ("http://ada:s3cret@host", "t0ken"),
        ("http://host", "s3cret\r\nX-Evil: 1"),
        ("http://host", " "),
    ],
)
def test_an_invalid_setting_is_refused(url: str, token: str | None) -> None:
    with pytest.raises(SetupInvalid) as refused:
        PrometheusServer.parse(url, token)
    assert "s3cret" not in str(refused.value)


@pytest.fixture
def applied(site: Site) -> Site:
    """A site with all repositories eligible."""
    site.write(FILE)
    site.commit("Begin")
    assert site.reconcile().exit_code == 0
    return site


def test_a_failed_source_is_inconclusive_with_a_reason(applied: Site) -> None:
    with serving(answering(503)) as url:
        environment = {"PROMETHEUS_URL": url.replace("//", "//ada:s3cret@")}
        shown = applied.reconcile(
            "health", "--rollback", "--no-write-back", "--detailed-exitcode", env=environment
        )
        as_json = applied.reconcile("health", "--format", "json", env=environment)

    sentence = f"source failed: Prometheus at {url}: it answers with status 503"
    assert (shown.exit_code, shown.stderr) == (3, "")
    assert f"capture: inconclusive\n    {sentence}\n" in shown.stdout
    assert as_json.stderr == f"capture: {sentence}\n"
    (found,) = json.loads(as_json.stdout)["features"]
    assert (found["verdict"], found["reason"]) == ("inconclusive", "source_failed")
    assert (found["jobs"], found["error_rate"], found["rolled_back"]) == (None, None, False)
    assert "s3cret" not in shown.stdout + as_json.stdout + as_json.stderr


def test_queries_without_a_prometheus_are_a_wrong_command_line(applied: Site) -> None:
    refused = applied.reconcile("health", "--prometheus-query-jobs", "sum(jobs)")

    assert (refused.exit_code, refused.stderr.splitlines()[0]) == (
        64,
        "error: the Prometheus queries need --prometheus-url",
    )


def test_an_increase_is_judged_by_the_same_metrics(applied: Site) -> None:
    applied.replace(
        "    percentage: 100\n",
        "    percentage: 10\n"
        "    progression: [{percentage: 10, soak: 1s}, {percentage: 20, soak: 1s}]\n",
    )
    applied.commit("Narrow")
    assert applied.reconcile().exit_code == 0
    applied.replace("    percentage: 10\n", "    percentage: 20\n")
    applied.commit("Raise")

    with serving(answering(503)) as url:
        refused = applied.reconcile("--dry-run", env={"PROMETHEUS_URL": url})

    assert refused.exit_code == 3
    assert "it answers with status 503" in " ".join(refused.stdout.split())


@dataclass
class Service:
    """A service whose jobs Prometheus counts, and another with its own metrics."""

    jobs: dict[str, int]
    """The number of each outcome."""

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        lines = ["# TYPE rollout_jobs_total counter", "# TYPE own gauge"]
        lines += [
            f'rollout_jobs_total{{feature="{feature}", category="small", processor="github_actions",'
            f' outcome="{outcome}"}} {jobs * factor}'
            for outcome, jobs in self.jobs.items()
            for feature, factor in (("capture", 1), ("another", 1000))
        ]
        lines += ['own{of="capture"} 100', 'own_broken{of="capture"} 10', 'own{of="other"} 7']
        send(request, 200, "\n".join([*lines, ""]).encode(), Content_Type="text/plain")


@dataclass(frozen=True)
class Prometheus:
    """A Prometheus that scrapes a service."""

    url: str
    process: "subprocess.Popen[bytes]"

    def is_ready(self) -> bool:
        assert self.process.poll() is None, "prometheus ended"
        try:
            return httpx.get(f"{self.url}/-/ready").is_success
        except httpx.TransportError:
            return False

    def value(self, query: str) -> float:
        """Return the sum of a query's result; an empty result is 0."""
        parameters = {"query": f"sum({query})"}
        answer = httpx.get(f"{self.url}/api/v1/query", params=parameters).json()
        result = answer["data"]["result"]
        return float(result[0]["value"][1]) if result else 0


@pytest.fixture(scope="module")
def service() -> Service:
    return Service({"succeeded": 0, "failed": 0})


@pytest.fixture(scope="module")
def prometheus(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed")
    with serving(service.handle) as target, socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
        bound.close()
        folder = tmp_path_factory.mktemp("prometheus")
        configuration = folder / "prometheus.yml"
        configuration.write_text(
            "global: {scrape_interval: 200ms}\n"
            "scrape_configs:\n"
            "  - job_name: service\n"
            "    static_configs:\n"
            f"      - targets: ['{target.removeprefix('http://')}']\n"
        )
        process = subprocess.Popen(
            [
                program,
                f"--config.file={configuration}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            started = Prometheus(f"http://127.0.0.1:{port}", process)
            eventually(started.is_ready)
            yield started
        finally:
            process.kill()
            process.wait()


def health(site: Site, prometheus: Prometheus, *arguments: str) -> dict[str, Any]:
    ended = site.reconcile(
        "health", "--format", "json", "--prometheus-url", prometheus.url, *arguments
    )
    assert ended.exit_code == 0, ended.stderr
    (found,) = json.loads(ended.stdout)["features"]
    assert ended.stderr == ("Next: reconcile verify\n" if found["rolled_back"] else "")
    return dict(found)


def test_a_real_prometheus_counts_failed_jobs_after_a_resume(
    applied: Site, prometheus: Prometheus, service: Service
) -> None:
    counted = 'rollout_jobs_total{feature="capture"}'
    eventually(lambda: prometheus.value(f"count_over_time({counted}[1m])") >= 4)
    assert health(applied, prometheus)["reason"] == "no_data"

    service.jobs.update(succeeded=80, failed=20)
    eventually(lambda: prometheus.value(counted) == 100)
    found = health(applied, prometheus, "--rollback", "--no-write-back")
    assert (found["verdict"], found["rolled_back"]) == ("fail", True)
    # Prometheus extrapolates this from few samples.
    assert 80 <= found["jobs"] <= 200
    assert found["error_rate"] == pytest.approx(20, abs=2)
    assert found["by_processor"].keys() == {"github_actions"}
    assert found["by_category"]["small"]["jobs"] == found["jobs"]
    assert applied.database.value("SELECT rollout_percentage FROM rollout_configuration") == 0

    resumed = applied.reconcile("resume", "--reason", "mended", "--yes", "--no-write-back")
    assert resumed.exit_code == 0, resumed.stderr
    resumed_at = applied.database.value(
        "SELECT created_at FROM rollout_history WHERE action = 'resumed'"
    ).timestamp()
    since_then = f"timestamp({counted}) > {resumed_at} + 1"
    eventually(lambda: prometheus.value(since_then) > 0)
    assert health(applied, prometheus)["reason"] == "no_data"

    service.jobs.update(succeeded=180)
    eventually(lambda: prometheus.value(counted) == 200)
    found = health(applied, prometheus)
    assert (found["verdict"], found["errors"]) == ("pass", 0)


def test_a_custom_query_is_used(applied: Site, prometheus: Prometheus) -> None:
    eventually(lambda: prometheus.value("own") == 107)

    found = health(
        applied,
        prometheus,
        "--prometheus-query-jobs",
        "max_over_time(own{of=$feature}[$window])",
        "--prometheus-query-errors",
        "scalar(max_over_time(own_broken{of=$feature}[$window]))",
    )
    assert (found["jobs"], found["errors"], found["error_rate"]) == (100, 10, 10)
    assert (found["by_category"], found["by_processor"]) == ({}, {})


def test_an_error_of_a_real_prometheus_is_shown(applied: Site, prometheus: Prometheus) -> None:
    shown = applied.reconcile(
        "health",
        "--prometheus-url",
        prometheus.url,
        "--prometheus-query-jobs",
        "sum(jobs{feature=$feature}[$window])",
    )
    assert "it reports: invalid parameter" in shown.stdout
    assert "expected type instant vector in aggregation expression" in shown.stdout
