"""`reconcile serve`: a real server with OFREP's clients, checked against its OpenAPI document."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import FlagEvaluationDetails, Reason

from tests import conformance, program
from tests.database.proxy import Proxy
from tests.database.test_client import ACME, OTHER, add_feature, load
from tests.eventually import eventually
from tests.ofrep import ALL, ONE, Protocol
from tests.ofrep_server import TOKEN, running_server
from tests.postgres import PROJECT, Database
from tests.program import Completed

PROTOCOL = Protocol.read(conformance.require("ofrep"))
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


@dataclass(frozen=True)
class Served:
    """A running server."""

    url: str
    process: "subprocess.Popen[str]"
    http: httpx.Client

    def one(self, key: str, context: Any, **headers: str) -> httpx.Response:
        PROTOCOL.check_request(ONE, {"context": context})
        return self.send(f"/{key}", json.dumps({"context": context}), headers)

    def all(self, context: Any, **headers: str) -> httpx.Response:
        PROTOCOL.check_request(ALL, {"context": context})
        return self.send("", json.dumps({"context": context}), headers)

    def send(
        self, path: str, body: str | bytes, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Send a request of any form; check that the answer follows the protocol."""
        response = self.http.post(
            f"/ofrep/v1/evaluate/flags{path}",
            content=body,
            headers={"Content-Type": "application/json", **AUTHORIZED, **(headers or {})},
        )
        PROTOCOL.check_response(ONE if path else ALL, response)
        return response

    def health(self) -> tuple[int, Any]:
        response = self.http.get("/healthz")
        return response.status_code, response.json()


@contextmanager
def serving(database_url: str, *arguments: str, token: str | None = TOKEN) -> Iterator[Served]:
    with (
        running_server(
            *arguments, token=token, environment={"DATABASE_URL": database_url}
        ) as server,
        httpx.Client(base_url=server.url, timeout=30) as http,
    ):
        yield Served(server.url, server.process, http)


@pytest.fixture(scope="module")
def served(module_database: Database) -> Iterator[Served]:
    load(module_database, rollout_percentage=100)
    add_feature(module_database, "some", rollout_percentage=50)
    add_feature(module_database, "listed", rollout_strategy="whitelist")
    add_feature(module_database, "toggled", rollout_percentage=100)
    with serving(module_database.url) as served:
        eventually(lambda: served.health() == (200, {"status": "ok"}))
        yield served


@pytest.fixture
def asked(served: Served) -> Iterator[OpenFeatureClient]:
    """OpenFeature's own client of the protocol."""
    provider = OFREPProvider(served.url, headers_factory=lambda: dict(AUTHORIZED))
    api.set_provider_and_wait(provider, "ofrep")
    yield api.get_client("ofrep")
    provider.session.close()
    api.shutdown()
    api.clear_providers()


def test_an_ofrep_client_gets_value_variant_reason_and_metadata(
    asked: OpenFeatureClient,
) -> None:
    details = asked.get_boolean_details("some", False, EvaluationContext("acme/site"))

    assert details == FlagEvaluationDetails(
        flag_key="some",
        value=True,
        variant="on",
        reason=Reason.SPLIT,
        flag_metadata={"rule": "percentage_strategy", "bucket": 2683, "percentage": 50.0},
    )
    assert asked.get_boolean_value("f", False, EvaluationContext(OTHER)) is True
    context = EvaluationContext("ada@example.com", {"repository": "other/tools"})
    assert asked.get_boolean_value("listed", True, context) is False


def test_an_ofrep_client_gets_each_error(asked: OpenFeatureClient, served: Served) -> None:
    someone = EvaluationContext(ACME)

    def code(flag: str, context: EvaluationContext) -> ErrorCode | None:
        details = asked.get_boolean_details(flag, True, context)
        assert details.value is True, "the default"
        return details.error_code

    assert code("unknown", someone) is ErrorCode.FLAG_NOT_FOUND
    assert code("f", EvaluationContext()) is ErrorCode.TARGETING_KEY_MISSING
    assert code("f", EvaluationContext(ACME, {"repository": 7})) is ErrorCode.INVALID_CONTEXT
    assert asked.get_string_details("f", "no", someone).error_code is ErrorCode.TYPE_MISMATCH
    stranger = OFREPProvider(served.url, headers_factory=lambda: {"Authorization": "Bearer no"})
    api.set_provider_and_wait(stranger, "ofrep")
    assert code("f", someone) is ErrorCode.GENERAL
    stranger.session.close()


def test_all_flags_are_sent_again_only_after_a_change(
    served: Served, module_database: Database
) -> None:
    first = served.all({"targetingKey": "acme/site", "plan": "free"})
    tag = first.headers["etag"]

    assert {each["key"]: (each["value"], each["reason"]) for each in first.json()["flags"]} == {
        "f": (True, "STATIC"),
        "listed": (False, "UNKNOWN"),
        "some": (True, "SPLIT"),
        "toggled": (True, "STATIC"),
    }
    for named in (tag, f"W/{tag}", f'"other", {tag}', tag.strip('"'), "*"):
        again = served.all({"targetingKey": "acme/site"}, **{"If-None-Match": named})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    other = served.all({"targetingKey": "other/tools"}, **{"If-None-Match": tag})
    assert other.status_code == 200

    module_database.execute(
        "UPDATE rollout_configuration SET emergency_stop = true WHERE feature_name = 'toggled'"
    )

    def changed() -> httpx.Response:
        return served.all({"targetingKey": "acme/site"}, **{"If-None-Match": tag})

    eventually(lambda: changed().status_code == 200)
    assert {"key": "toggled", "value": False, "variant": "off", "reason": "DISABLED"}.items() <= (
        changed().json()["flags"][3].items()
    )


@pytest.mark.parametrize("path", ["", "/f"])
@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("", "PARSE_ERROR"),
        ("{", "PARSE_ERROR"),
        (b"\xff\xfe\xff", "PARSE_ERROR"),
        ("[" * 50_000, "PARSE_ERROR"),
        ("9" * 60_000, "PARSE_ERROR"),
        ('{"context": {"targetingKey": "' + "x" * 1_000_000 + '"}}', "PARSE_ERROR"),
        ("[]", "INVALID_CONTEXT"),
        ("{}", "INVALID_CONTEXT"),
        ('{"context": null}', "INVALID_CONTEXT"),
        ('{"context": {"targetingKey": 7}}', "INVALID_CONTEXT"),
        ('{"context": {"targetingKey": "acme/site", "repository": {}}}', "INVALID_CONTEXT"),
        ('{"context": {}}', "TARGETING_KEY_MISSING"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, str | bytes) else None,
)
def test_an_invalid_request_is_refused(
    served: Served, path: str, body: str | bytes, code: str
) -> None:
    response = served.send(path, body)

    assert (response.status_code, response.json()["errorCode"]) == (400, code)
    assert response.json().get("key") == (path[1:] or None)


@pytest.mark.parametrize(
    "repository",
    ["", "acme/\ud800", "acme/\0site", "/", "acme/site/", "%", "' OR true --", "é" * 9000],
)
def test_an_invalid_repository_is_unknown(served: Served, repository: str) -> None:
    found = served.send("/f", json.dumps({"context": {"targetingKey": repository}})).json()

    assert (found["value"], found["metadata"]["rule"]) == (False, "unknown_repository")


@pytest.mark.parametrize(
    ("path", "key"),
    [("/no", "no"), ("/a%2Fb", "a/b"), ("/%00%FF", "\0\ufffd"), ("/..%2f", "../"), ("/", "")],
)
def test_an_invalid_flag_is_unknown(served: Served, path: str, key: str) -> None:
    response = served.send(path, '{"context": {"targetingKey": "acme/site"}}')

    assert response.status_code == 404
    assert (response.json()["key"], response.json()["errorCode"]) == (key, "FLAG_NOT_FOUND")


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": ""},
        {"Authorization": TOKEN},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": "Bearer", "X-API-Key": "no"},
    ],
)
@pytest.mark.parametrize("path", ["", "/f", "/unknown"])
def test_without_the_token_nothing_is_disclosed(
    served: Served, path: str, headers: dict[str, str]
) -> None:
    response = served.send(path, '{"context": {"targetingKey": "acme/site"}}', headers)

    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
    assert response.json() == {"errorDetails": "a token is needed"}


@pytest.mark.parametrize("foreign", ["Bearer of-a-proxy", "Basic dTpw", "Bearer"])
def test_an_api_key_counts_beside_an_authorization_of_a_proxy(served: Served, foreign: str) -> None:
    headers = {"Authorization": foreign, "X-API-Key": TOKEN}

    assert served.one("f", {"targetingKey": ACME}, **headers).json()["value"] is True


def test_a_page_of_an_allowed_origin_may_ask_from_a_browser(database: Database) -> None:
    with serving(database.url, "--cors-origin", "https://app.example") as served:

        def preflight(origin: str) -> httpx.Response:
            return served.http.options(
                "/ofrep/v1/evaluate/flags",
                headers={
                    "Origin": origin,
                    "Access-Control-Request-Method": "POST",
                    "Access-Control-Request-Headers": "authorization,content-type,if-none-match",
                },
            )

        allowed = preflight("https://app.example")
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == "https://app.example"
        assert preflight("https://evil.example").status_code == 400

        eventually(lambda: served.health()[0] == 200)
        answer = served.all({"targetingKey": ACME}, Origin="https://app.example")
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        assert "ETag" in answer.headers["access-control-expose-headers"]


def test_tokens_of_a_file_are_exchanged_while_it_runs(database: Database, tmp_path: Path) -> None:
    load(database, rollout_percentage=100)
    file = tmp_path / "tokens"
    file.write_text("old-token\nother-token\n")

    def status(served: Served, token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return served.one("f", {"targetingKey": ACME}, **headers).status_code

    with serving(database.url, "--token-file", str(file), token=None) as served:
        eventually(lambda: served.health()[0] == 200)
        assert [status(served, each) for each in ("old-token", "other-token", TOKEN)] == [
            200,
            200,
            401,
        ]
        (tmp_path / "next").write_text("other-token\nnew-token\n")
        (tmp_path / "next").replace(file)
        eventually(lambda: status(served, "new-token") == 200)
        assert [status(served, each) for each in ("old-token", "other-token")] == [401, 200]

        file.unlink()
        file.write_text("two words\n")
        eventually(lambda: status(served, "new-token") == 200)


def test_probes_metrics_and_the_request_log(database: Database) -> None:
    load(database, rollout_percentage=100)
    with Proxy(database) as proxy:
        proxy.is_up = False
        with serving(proxy.url, "--log-format", "json") as served:
            assert served.http.get("/livez").json() == {"status": "ok"}
            assert served.http.get("/readyz").status_code == 503
            assert "rollout_ofrep_stale 1.0" in served.http.get("/metrics").text
            proxy.is_up = True
            eventually(lambda: served.http.get("/readyz").status_code == 200)
            served.one("f", {"targetingKey": ACME})
            metrics = served.http.get("/metrics").text
            assert "rollout_ofrep_stale 0.0" in metrics
            assert 'rollout_ofrep_requests_total{status="503"}' in metrics
            served.process.send_signal(signal.SIGTERM)
            logged = [
                json.loads(line)
                for line in served.process.communicate(timeout=30)[1].splitlines()
                if line.startswith("{")
            ]
    assert {"method": "POST", "path": "/ofrep/v1/evaluate/flags/f", "status": 200}.items() <= (
        next(each for each in logged if each["path"].endswith("/f")).items()
    )


def test_the_token_may_come_as_an_api_key(served: Served) -> None:
    headers = {"Authorization": "", "X-API-Key": TOKEN}

    assert served.one("f", {"targetingKey": ACME}, **headers).json()["value"] is True


def test_other_methods_and_paths_are_refused(served: Served) -> None:
    assert served.http.get("/ofrep/v1/evaluate/flags", headers=AUTHORIZED).status_code == 405
    assert served.http.get("/ofrep/v1/configuration", headers=AUTHORIZED).status_code == 404
    assert served.http.get("/").status_code == 404


def test_flags_are_off_while_the_data_is_missing_or_stale(database: Database) -> None:
    load(database, rollout_percentage=100)
    question = {"targetingKey": ACME}
    with Proxy(database) as proxy:
        proxy.is_up = False
        with serving(proxy.url, "--max-staleness", "1s", token=None) as served:
            assert served.health() == (503, {"status": "starting"})
            for response in (served.one("f", question), served.all(question)):
                assert response.status_code == 500
                assert response.json() == {
                    "errorDetails": "stale: nothing was read from the database yet"
                }

            proxy.is_up = True
            eventually(lambda: served.health() == (200, {"status": "ok"}))
            assert served.one("f", question).json()["value"] is True

            proxy.is_up = False
            proxy.cut()
            eventually(lambda: served.health() == (503, {"status": "stale"}))
            stale = {
                "key": "f",
                "value": False,
                "variant": "off",
                "reason": "UNKNOWN",
                "metadata": {"rule": "stale"},
            }
            assert served.one("f", question).json() == stale
            assert served.all(question).json() == {"flags": [stale]}

            # Without a token the server accepts only names of this machine.
            for host, status in [("localhost", 200), ("[::1]:80", 200), ("evil.example", 403)]:
                assert served.one("f", question, Host=host).status_code == status


def test_open_requests_are_answered_before_the_server_ends(database: Database) -> None:
    load(database, rollout_percentage=100)
    body = b'{"context": {"targetingKey": "acme/site"}}'
    with serving(database.url) as served:
        eventually(lambda: served.health()[0] == 200)
        host, port = served.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(
                f"POST /ofrep/v1/evaluate/flags/f HTTP/1.1\r\nHost: {host}\r\n"
                f"Authorization: Bearer {TOKEN}\r\nContent-Length: {len(body)}\r\n"
                "Expect: 100-continue\r\n\r\n".encode()
            )
            # It reads the body now.
            assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
            served.process.send_signal(signal.SIGTERM)
            eventually(lambda: not _listens(host, int(port)))
            connection.sendall(body)
            assert b'"value": true' in b"".join(iter(lambda: connection.recv(65536), b""))
        stdout, stderr = served.process.communicate(timeout=30)

    assert (served.process.returncode, stdout, stderr) == (0, "", "ended by SIGTERM\n")


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=30).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.fixture
def serve(tmp_path: Path) -> Callable[..., Completed]:
    """Runs the program to its end."""

    def run(*arguments: str, **environment: str) -> Completed:
        return program.run(
            ["serve", *arguments],
            folder=tmp_path,
            environment={
                **os.environ,
                "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
                **environment,
            },
            stdin="",
            timeout=30,
        )

    return run


def test_serve_does_not_start_with_wrong_settings(
    serve: Callable[..., Completed], tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("two words\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        at = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = [
            serve("--listen", "0.0.0.0:0"),
            serve("--listen", "0.0.0.0:0", ROLLOUT_OFREP_TOKEN=" "),
            serve("--token-file", "token"),
            serve("--token-file", "nowhere"),
            serve("--token-file", "token", ROLLOUT_OFREP_TOKEN=TOKEN),
            serve("--listen", at),
            serve("--listen", "8016"),
        ]

    assert [each.stderr.replace(at, "ADDRESS").splitlines()[0] for each in ended] == [
        "error: other machines can reach 0.0.0.0:0: set ROLLOUT_OFREP_TOKEN or give --token-file",
        "error: the token is invalid: it is empty, too long, or has a character that a token cannot have",
        "error: the token is invalid: it is empty, too long, or has a character that a token cannot have",
        "error: nowhere: the token cannot be read: No such file or directory",
        "error: --token-file and ROLLOUT_OFREP_TOKEN are both set; use one of them",
        "error: cannot listen on ADDRESS: Address already in use; name another address",
        "error: Invalid value for '--listen': '8016' is not an address; write host:port, such as 127.0.0.1:9464",
    ]
    assert [each.exit_code for each in ended] == [1, 1, 1, 1, 1, 1, 64]


def test_without_the_extra_the_package_to_install_is_named() -> None:
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; sys.modules['uvicorn'] = None\n"
            "from reconciler.cli.main import main; main(['serve'])",
        ],
        check=False,
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert ended.stderr == (
        "error: serve needs an extra: pip install 'rollout-reconciler[ofrep]'\n"
    )
    assert ended.returncode == 1
