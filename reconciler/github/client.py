"""GitHub's API: retried where that is safe, within rate limits, page by page.

A request that changes something is not sent again where GitHub may have done it: callers look and see
(`creating`).
"""

import os
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import urljoin

from reconciler.errors import NotFound, OutcomeUnknown, SetupInvalid, Unavailable
from reconciler.github.graphql import as_rest_would_say
from reconciler.github.limits import LONGEST_WAIT_SECONDS, pause_for_limit
from reconciler.github.transport import Answer, Request, Transport, is_confidential

ATTEMPTS: Final = 5
FIRST_PAUSE_SECONDS: Final = 1.0
"""Doubled at each attempt, and shortened by chance so that many clients do not come back at once."""
PAGE_SIZE: Final = 100
MAX_PAGES: Final = 1_000

_NEXT_PAGE: Final = re.compile(r'<([^<>]+)>;\s*rel="next"')
_LAST_PAGE: Final = re.compile(r'[?&]page=(\d{1,9})[^<>]*>;\s*rel="last"')
_SAFE_TO_REPEAT: Final = frozenset({"GET", "PATCH"})
_MOVED: Final = frozenset({301, 302, 307, 308})
_NO_CONTENT: Final = 204
_BAD_REQUEST: Final = 400
_SERVER_ERROR: Final = 500


def _tell_nobody(_message: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class GitHub:
    """The API, as whoever the token belongs to."""

    api_url: str
    transport: Transport = field(repr=False)
    wait: Callable[[float], None] = field(default=time.sleep, repr=False)
    tell: Callable[[str], None] = field(default=_tell_nobody, repr=False)
    """Is told of a wait for a rate limit, which may be an hour."""

    @classmethod
    def from_environment(cls, tell: Callable[[str], None] = _tell_nobody) -> "GitHub":
        """Return the API that `GITHUB_API_URL` and `GITHUB_TOKEN` name.

        Raises:
            SetupInvalid: there is no token, or the address would send it unencrypted.
        """
        token = os.environ.get("GITHUB_TOKEN", "").strip()
        if not token:
            raise SetupInvalid("GITHUB_TOKEN is not set; a workflow sets it to github.token")
        if not (token.isascii() and token.isprintable() and " " not in token):
            raise SetupInvalid("GITHUB_TOKEN has characters that no token has")
        api_url = os.environ.get("GITHUB_API_URL", "").rstrip("/") or "https://api.github.com"
        if not is_confidential(api_url) or "?" in api_url or "#" in api_url:
            raise SetupInvalid("GITHUB_API_URL is no https address of an API")
        return cls(api_url, Transport(api_url, token), tell=tell)

    def get(self, path: str, **parameters: str | int) -> Any:
        """Return what is at a path."""
        return self._ask(self._request("GET", path, parameters)).json()

    def pages(self, path: str, **parameters: str | int) -> Iterator[Any]:
        """Yield the entries of a list, page after page; or of the list in an object beside its count."""
        request = self._request("GET", path, {"per_page": PAGE_SIZE, **parameters})
        for _ in range(MAX_PAGES):
            answer = self._ask(request)
            found = answer.json()
            if isinstance(found, dict):
                found = next((each for each in found.values() if isinstance(each, list)), [])
            yield from found
            following = _NEXT_PAGE.search(answer.headers.get("link", ""))
            if following is None:
                return
            request = Request("GET", self._own(following[1]))

    def count(self, path: str, **parameters: str | int) -> int:
        """Return how many entries a list has, by the number of its last page of one entry each."""
        answer = self._ask(self._request("GET", path, {**parameters, "per_page": 1}))
        if answer.status == _NO_CONTENT:
            return 0
        last = _LAST_PAGE.search(answer.headers.get("link", ""))
        return int(last[1]) if last else len(answer.json())

    def change(self, method: str, path: str, body: Mapping[str, Any]) -> Any:
        """Create or change what is at a path; return it as it is then.

        Raises:
            OutcomeUnknown: no answer came to a request that must not be sent twice.
        """
        return self._ask(replace(self._request(method, path, {}), body=body)).json()

    def query(self, document: str, variables: Mapping[str, Any]) -> Any:
        """Return the data that a GraphQL query, which must change nothing, asks for.

        Raises:
            NotFound: what it asks for is not there, or hidden from this token.
            SetupInvalid: GitHub refuses the query.
        """
        url = f"{self.api_url.removesuffix('/v3')}/graphql"
        body = {"query": document, "variables": variables}
        answer = self._ask(Request("POST", url, body=body, is_query=True)).json()
        if errors := answer.get("errors"):
            message = f"GitHub says: {str(errors[0].get('message', ''))[:300]}"
            if all(each.get("type") == "NOT_FOUND" for each in errors):
                raise NotFound(message)
            raise SetupInvalid(message)
        if not answer.get("data"):
            raise Unavailable("GitHub's answer to a query has no data; try again later")
        return answer["data"]

    def download(self, path: str, most: int) -> bytes:
        """Return a file of at most so many bytes that the API keeps elsewhere.

        Raises:
            SetupInvalid: it is larger, or kept at an address without encryption.
        """
        answer = self._ask(self._request("GET", path, {}), follow=False)
        address = answer.headers.get("location", "")
        if not is_confidential(address):
            raise SetupInvalid("GitHub keeps that file at no https address")
        return self._ask(Request("GET", address, most=most)).content

    def pause(self, attempt: int) -> None:
        """Wait before the next attempt, longer after each."""
        self.wait(FIRST_PAUSE_SECONDS * 2**attempt * random.uniform(0.5, 1))  # noqa: S311 - no secret

    def _request(self, method: str, path: str, parameters: Mapping[str, str | int]) -> Request:
        return Request(method, f"{self.api_url}{path}", parameters)

    def _own(self, address: str) -> str:
        if not self.transport.is_own(address):
            raise SetupInvalid("GitHub sends this on to another server, which gets no token")
        return address

    def _ask(self, request: Request, *, follow: bool = True) -> Answer:
        repeatable = request.is_query or request.method in _SAFE_TO_REPEAT
        failure = ""
        for attempt in range(ATTEMPTS):
            match self._send(request):
                case Answer() as answer if answer.status in _MOVED and follow:
                    address = urljoin(request.url, answer.headers.get("location", ""))
                    request = replace(request, url=self._own(address), parameters={})
                    failure = f"GitHub sends {request.name} on and on"
                    continue
                case Answer() as answer if (pause := pause_for_limit(answer)) is not None:
                    if pause > LONGEST_WAIT_SECONDS:
                        raise Unavailable(f"GitHub's rate limit is used up for {pause:.0f} seconds")
                    failure = "GitHub's rate limit is used up"
                    self.tell(f"{failure}: waiting for {pause:.0f} seconds")
                    self.wait(pause)
                    continue
                case Answer() as answer if answer.status < _BAD_REQUEST:
                    return answer
                case Answer() as answer if answer.status < _SERVER_ERROR:
                    raise _refusal(request, answer)
                case Answer() as answer:
                    failure = f"GitHub answers {request.name} with {answer.status}"
                case str() as kind:
                    failure = f"GitHub does not answer {request.name} ({kind})"
            if not repeatable:
                raise OutcomeUnknown(f"{failure}; it may be done or not")
            self.pause(attempt)
        raise Unavailable(f"{failure}; try again later")

    def _send(self, request: Request) -> Answer | str:
        answer = self.transport.send(request)
        return (
            as_rest_would_say(answer) if request.is_query and isinstance(answer, Answer) else answer
        )


def repository_path() -> str:
    """Return the path of the repository that `GITHUB_REPOSITORY` names: `/repos/owner/name`.

    Raises:
        SetupInvalid: it names none.
    """
    repository = os.environ.get("GITHUB_REPOSITORY", "")
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,100}/(?!\.\.?$)[A-Za-z0-9._-]{1,100}", repository):
        raise SetupInvalid("GITHUB_REPOSITORY names no repository; write owner/name")
    return f"/repos/{repository}"


def _refusal(request: Request, answer: Answer) -> SetupInvalid | NotFound:
    said = f": {answer.message}" if answer.message else ""
    match answer.status:
        case 401:
            return SetupInvalid(f"GitHub does not know the token{said}; set GITHUB_TOKEN anew")
        case 403:
            return SetupInvalid(
                f"GitHub refuses {request.name} to this token{said}; give the job the permission"
            )
        case 404 | 410 | 451:
            return NotFound(
                f"GitHub has nothing at {request.name}, or hides it from this token{said}"
            )
        case status:
            return SetupInvalid(f"GitHub refuses {request.name} with {status}{said}")
