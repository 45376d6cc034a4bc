"""A small GitHub: a server with one repository that checks, records and answers each request.

A request that GitHub's description does not allow gets the answer 599 and is kept in `wrong`. A
test checks `wrong` at its end.
"""

import base64
import json
import re
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.github import commits, listing, objects, reviews, shapes

TOKEN = "ghs_secretSECRETsecret0123456789abcdef"
REPOSITORY = "acme/rollouts"
BOT = {"login": "github-actions[bot]", "type": "Bot"}


@dataclass(frozen=True)
class Asked:
    """A received request."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    headers: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True)
class Trouble:
    """A fault that the server produces once, instead of its work or after it."""

    method: str
    path: str
    """A regular expression that is searched in the path."""
    status: int = 0
    """The status of the answer; 0 closes the connection without an answer."""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    after: bool = False
    """Whether the request is carried out before the fault."""


@dataclass
class FakeGitHub:
    """The repository's state and the received requests."""

    issues: dict[int, dict[str, Any]] = field(default_factory=dict)
    comments: dict[int, dict[str, Any]] = field(default_factory=dict)
    pulls: dict[int, dict[str, Any]] = field(default_factory=dict)
    artifacts: dict[int, dict[str, bytes]] = field(default_factory=dict)
    """The name and the archive of each run's artifact."""
    repositories: dict[int, dict[str, Any]] = field(default_factory=dict)
    """All repositories of all owners, by GitHub's id."""
    merge_base: Callable[[str, str], str | None] = field(default=lambda _base, _head: None)
    """The merge base of two commits; None if GitHub does not have them."""
    remote: Path | None = None
    """The bare repository in which commits are made."""
    pull_requests: dict[int, reviews.PullRequest] = field(default_factory=dict)
    """Those with reviews, which queries ask about."""
    teams: dict[str, set[str]] = field(default_factory=dict)
    """The members of each team that the token sees, by `organization/team`."""
    account: dict[str, Any] = field(default_factory=lambda: dict(BOT))
    """The user of the token."""
    asked: list[Asked] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    page_size: int = 100
    lock: threading.Lock = field(default_factory=threading.Lock)
    url: str = ""
    store_url: str = ""
    """The server that keeps the artifacts, if it is another one."""

    @contextmanager
    def serving(self) -> Iterator["FakeGitHub"]:
        """Serve on a free port of this machine until the end."""
        handler = type("Handler", (_Handler,), {"github": self})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def environment(self) -> dict[str, str]:
        """The variables with which a step of a workflow finds this server."""
        return {
            "GITHUB_API_URL": self.url,
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_TOKEN": TOKEN,
            "NO_PROXY": "127.0.0.1",
        }

    def changes(self) -> list[tuple[str, str]]:
        """The requests for changes, in order."""
        return [(each.method, each.path) for each in self.asked if each.method != "GET"]

    def open_issues(self) -> list[dict[str, Any]]:
        return [each for each in self.issues.values() if each["state"] == "open"]

    def add_comment(self, number: int, body: str, user: Mapping[str, Any], association: str) -> int:
        """Write a comment as another user."""
        identifier = 1000 + len(self.comments)
        self.comments[identifier] = {
            "issue": number,
            "id": identifier,
            "body": body,
            "user": _user(user),
            "author_association": association,
            "html_url": f"https://github.com/{REPOSITORY}/pull/{number}#issuecomment-{identifier}",
        }
        return identifier

    def add_pull(self, **values: Any) -> int:
        """Open a pull request as another user; `head` is `owner:branch`."""
        number = self._number()
        head = values.pop("head")
        self.pulls[number] = {
            "number": number,
            "state": "open",
            "title": "",
            "body": None,
            "merged_at": None,
            "user": _user(self.account),
            "author_association": "NONE",
            "html_url": f"https://github.com/{REPOSITORY}/pull/{number}",
            "base": {"ref": values.pop("base", "main"), "sha": values.pop("base_sha", "0" * 40)},
            "head": {
                "label": head,
                "ref": head.partition(":")[2],
                "sha": values.pop("sha", "0" * 40),
            },
            **values,
        }
        return number

    def _compare(self, base: str, head: str) -> tuple[int, Any]:
        found = self.merge_base(base, head)
        if found is None:
            return 404, {"message": "Not Found"}
        return 200, {"merge_base_commit": {"sha": found}, "status": "diverged"}

    def _content(self, path: str, commit: str) -> tuple[int, Any]:
        shown = subprocess.run(
            ["git", "--git-dir", str(self.remote), "show", f"{commit}:{path}"],
            capture_output=True,
            check=False,
        )
        if shown.returncode:
            return 404, {"message": "Not Found"}
        content = base64.b64encode(shown.stdout).decode()
        return 200, {"type": "file", "encoding": "base64", "content": content, "path": path}

    def team(self, path: str) -> tuple[int, Any]:
        """Return a team that the token sees, or the membership of a person."""
        organization, _, rest = path.removeprefix("/orgs/").partition("/teams/")
        team, _, login = rest.partition("/memberships/")
        members = self.teams.get(f"{organization}/{team}")
        if members is None or (login and login.lower() not in members):
            return 404, {"message": "Not Found"}
        return 200, {"state": "active"} if login else {"slug": team}

    def _number(self) -> int:
        return max([6, *self.issues, *self.pulls]) + 1

    def act(  # noqa: C901, PLR0911, PLR0912 - one case for each operation
        self, template: str, method: str, path: str, query: Mapping[str, str], body: Any
    ) -> Any:
        """Carry out a request; return the status and the value of the answer."""
        if "/git/" in template:
            assert self.remote is not None, "the test does not say where commits go"
            place = path.removeprefix(f"/repos/{REPOSITORY}/git/")
            return objects.act(self.remote, self.account, method, place, body)
        numbers = [int(part) for part in path.split("/") if part.isdigit()]
        match method, template.removeprefix("/repos/{owner}/{repo}"):
            case "GET", "/issues/{issue_number}/comments":
                return 200, [_public(e) for e in self.comments.values() if e["issue"] == numbers[0]]
            case "POST", "/issues/{issue_number}/comments":
                identifier = self.add_comment(numbers[0], body["body"], self.account, "NONE")
                return 201, _public(self.comments[identifier])
            case "PATCH", "/issues/comments/{comment_id}":
                self.comments[numbers[0]]["body"] = body["body"]
                return 200, _public(self.comments[numbers[0]])
            case "GET", "/issues":
                labels = set(query.get("labels", "").split(",")) - {""}
                return 200, [
                    each
                    for each in self.issues.values()
                    if query.get("state", "open") in (each["state"], "all")
                    and labels <= {label["name"] for label in each["labels"]}
                ]
            case "POST", "/issues":
                number = self._number()
                self.issues[number] = {
                    "number": number,
                    "state": "open",
                    "title": body["title"],
                    "body": body["body"],
                    "labels": [{"name": name} for name in body.get("labels", [])],
                    "user": _user(self.account),
                    "author_association": "NONE",
                    "html_url": f"https://github.com/{REPOSITORY}/issues/{number}",
                }
                return 201, self.issues[number]
            case "PATCH", "/issues/{issue_number}":
                self.issues[numbers[0]].update(body)
                return 200, self.issues[numbers[0]]
            case "GET", "/pulls":
                return 200, [
                    each
                    for each in self.pulls.values()
                    if query.get("state", "open") in (each["state"], "all")
                    and query.get("head", each["head"]["label"]) == each["head"]["label"]
                    and query.get("base", each["base"]["ref"]) == each["base"]["ref"]
                ]
            case "POST", "/pulls":
                head = f"{REPOSITORY.partition('/')[0]}:{body['head']}"
                if any(
                    p["head"]["label"] == head and p["state"] == "open" for p in self.pulls.values()
                ):
                    return 422, {
                        "message": "Validation Failed",
                        "errors": [{"message": f"A pull request already exists for {head}."}],
                    }
                number = self.add_pull(
                    head=head, base=body["base"], title=body["title"], body=body["body"]
                )
                return 201, self.pulls[number]
            case "PATCH", "/pulls/{pull_number}":
                self.pulls[numbers[0]].update(body)
                return 200, self.pulls[numbers[0]]
            case "GET", "/compare/{basehead}":
                return self._compare(*path.rpartition("/")[2].split("..."))
            case "GET", "/contents/{path}":
                return self._content(path.partition("/contents/")[2], query["ref"])
            case "GET", "/contributors":
                return listing.contributors(self.repositories, path)
            case "GET", "/actions/runs/{run_id}/artifacts":
                named = self.artifacts.get(numbers[0], {})
                listed = [
                    {
                        "id": numbers[0],
                        "name": name,
                        "expired": False,
                        "size_in_bytes": len(content),
                    }
                    for name, content in named.items()
                    if query.get("name", name) == name
                ]
                return 200, {"total_count": len(listed), "artifacts": listed}
            case "GET", "/actions/artifacts/{artifact_id}/{archive_format}":
                return 302, f"{self.store_url or self.url}/store/{numbers[0]}"
        raise AssertionError(f"{method} {template} is not served")


class _Handler(BaseHTTPRequestHandler):
    github: FakeGitHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PATCH(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _serve(self) -> None:
        content = self.rfile.read(int(self.headers.get("content-length", "0")))
        parts = urlsplit(self.path)
        asked = Asked(
            self.command,
            parts.path,
            {name: values[0] for name, values in parse_qs(parts.query).items()},
            json.loads(content) if content else None,
            {name.lower(): value for name, value in self.headers.items()},
        )
        with self.github.lock:
            self.github.asked.append(asked)
            trouble = self._trouble(asked)
            if trouble is not None and not trouble.after:
                self._spoil(trouble)
                return
            status, headers, body = self._answer(asked, parts.query)
        if trouble is not None:
            self._spoil(trouble)
        else:
            self._send(status, headers, body)

    def _trouble(self, asked: Asked) -> Trouble | None:
        for trouble in self.github.troubles:
            if trouble.method == asked.method and re.search(trouble.path, asked.path):
                self.github.troubles.remove(trouble)
                return trouble
        return None

    def _answer(self, asked: Asked, query: str) -> tuple[int, dict[str, str], bytes]:
        if asked.path.startswith("/store/"):
            (content,) = self.github.artifacts[int(asked.path.rpartition("/")[2])].values()
            return 200, {"content-type": "application/zip"}, content
        try:
            return self._checked(asked, query)
        except AssertionError as error:
            self.github.wrong.append(f"{asked.method} {asked.path}: {error}")
            return 599, {}, b'{"message": "the test\'s server does not allow that"}'

    def _checked(self, asked: Asked, query: str) -> tuple[int, dict[str, str], bytes]:
        assert asked.headers.get("authorization") == f"Bearer {TOKEN}", "no token, or another"
        assert asked.headers.get("x-github-api-version") == "2022-11-28"
        assert asked.headers.get("user-agent", "").startswith("rollout-reconciler/")
        repositories = self.github.repositories
        if asked.path == "/graphql" and commits.MUTATION in asked.body["query"]:
            assert self.github.remote is not None, "the test does not say where commits go"
            wanted = asked.body["variables"]["input"]
            made = commits.create_commit(self.github.remote, REPOSITORY, wanted)
            return 200, {}, json.dumps(made).encode()
        if (besides := self._besides(asked)) is not None:
            return besides
        if asked.path == "/graphql":
            answered = listing.query(repositories, asked.body, self.github.page_size)
            return 200, {}, json.dumps(answered).encode()
        is_contributors = asked.path.endswith("/contributors")
        assert is_contributors or asked.path.startswith(f"/repos/{REPOSITORY}/"), "another one"
        found = shapes.operation(asked.method, asked.path)
        assert found is not None, "GitHub has no such operation, or none that is used"
        template, described = found
        shapes.check_request(described, query, asked.body)
        status, value = self.github.act(template, asked.method, asked.path, asked.query, asked.body)
        if status == 302:
            return 302, {"location": value}, b""
        if status == 204:
            return 204, {}, b""
        headers: dict[str, str] = {"content-type": "application/json"}
        if isinstance(value, list):
            value, headers["link"] = self._page(asked, value)
        if status < 300:
            value = shapes.answer(described, status, value)
        return status, headers, json.dumps(value).encode()

    def _besides(self, asked: Asked) -> tuple[int, dict[str, str], bytes] | None:
        """Answer a request about reviews, teams or a repository by id; None for another one."""
        if asked.path.startswith("/orgs/"):
            status, value = self.github.team(asked.path)
            return status, {}, json.dumps(value).encode()
        if asked.path == "/graphql" and "repository(owner: $owner" in asked.body["query"]:
            answered = reviews.answer(self.github.pull_requests, asked.body)
            return 200, {}, json.dumps(answered).encode()
        if asked.path.startswith("/repositories/"):
            found = self.github.repositories.get(int(asked.path.rpartition("/")[2]))
            return (200 if found else 404), {}, json.dumps(found or {}).encode()
        return None

    def _page(self, asked: Asked, values: list[Any]) -> tuple[list[Any], str]:
        size = min(int(asked.query.get("per_page", "30")), self.github.page_size)
        number = int(asked.query.get("page", "1"))
        last = max(1, -(-len(values) // size))
        kept = "&".join(f"{k}={v}" for k, v in asked.query.items() if k != "page")
        links = [
            f'<{self.github.url}{asked.path}?{kept}&page={to}>; rel="{rel}"'
            for rel, to in (("next", number + 1), ("last", last))
            if number < last
        ]
        return values[size * (number - 1) : size * number], ", ".join(links)

    def _spoil(self, trouble: Trouble) -> None:
        if trouble.status == 0:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self._send(trouble.status, trouble.headers, json.dumps(trouble.body or {}).encode())

    def _send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if value:
                self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _user(user: Mapping[str, Any]) -> dict[str, Any]:
    return {"login": user["login"], "type": user["type"]}


def _public(comment: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in comment.items() if name != "issue"}
