"""GitHub's API: requests with safe retries, rate limits and pages.

If GitHub may have carried out a creating request, it is not repeated: the caller looks for the result first
(`creation`).
"""

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import urljoin

from reconciler.errors import NotFound, OutcomeUnknown, SetupInvalid, Unavailable
from reconciler.github.graphql import with_rest_status
from reconciler.github.rate_limits import LONGEST_WAIT_SECONDS, rate_limit_seconds
from reconciler.github.transport import Answer, Request, Transport, is_confidential
from rollout_client.backoff import backoff_seconds, with_jitter

ATTEMPTS: Final = 5
FIRST_BACKOFF_SECONDS: Final = 1.0
LONGEST_BACKOFF_SECONDS: Final = 30.0
PAGE_SIZE: Final = 100
MAX_PAGES: Final = 1_000

_NEXT_PAGE: Final = re.compile(r'<([^<>]+)>;\s*rel="next"')
_LAST_PAGE: Final = re.compile(r'[?&]page=(\d{1,9})[^<>]*>;\s*rel="last"')
_FULL_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,100}/(?!\.\.?$)[A-Za-z0-9._-]{1,100}")
_SAFE_TO_REPEAT: Final = frozenset({"GET", "PATCH"})
_MOVED: Final = frozenset({301, 302, 307, 308})
_NO_CONTENT: Final = 204
_BAD_REQUEST: Final = 400
_SERVER_ERROR: Final = 500


def _report_nothing(_message: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class GitHub:
    """The API, with the rights of the token."""

    api_url: str
    transport: Transport = field(repr=False)
    wait: Callable[[float], None] = field(default=time.sleep, repr=False)
    report: Callable[[str], None] = field(default=_report_nothing, repr=False)
    """Receives a message before a wait for a rate limit, which may be an hour."""

    @classmethod
    def from_environment(cls, report: Callable[[str], None] = _report_nothing) -> "GitHub":
        """Return the API that `GITHUB_API_URL` and `GITHUB_TOKEN` name.

        Raises:
            SetupInvalid: the token is missing, or the address would send it without encryption.
        """
        token = os.environ.get("GITHUB_TOKEN", "").strip()
        if not token:
            raise SetupInvalid("GITHUB_TOKEN is not set; a workflow sets it to github.token")
        if not (token.isascii() and token.isprintable() and " " not in token):
            raise SetupInvalid(
                "GITHUB_TOKEN is not a token: it contains a space or a control character"
            )
        api_url = os.environ.get("GITHUB_API_URL", "").rstrip("/") or "https://api.github.com"
        if not is_confidential(api_url) or "?" in api_url or "#" in api_url:
            raise SetupInvalid("GITHUB_API_URL is not an https address of an API")
        return cls(api_url, Transport(api_url, token), report=report)

    def get(self, path: str, **parameters: str | int) -> Any:
        """Return the JSON at a path."""
        return self._ask(self._request("GET", path, parameters)).json()

    def pages(self, path: str, **parameters: str | int) -> Iterator[Any]:
        """Yield the entries of a list from all its pages; an object that contains the list works too."""
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
        """Return the number of entries of a list: the number of its last page of one entry each."""
        answer = self._ask(self._request("GET", path, {**parameters, "per_page": 1}))
        if answer.status == _NO_CONTENT:
            return 0
        last = _LAST_PAGE.search(answer.headers.get("link", ""))
        return int(last[1]) if last else len(answer.json())

    def change(self, method: str, path: str, body: Mapping[str, Any]) -> Any:
        """Create or change something at a path; return GitHub's description of it.

        Raises:
            OutcomeUnknown: no answer came, and the request must not be sent twice.
        """
        return self._ask(replace(self._request(method, path, {}), body=body)).json()

    def add_object(self, path: str, body: Mapping[str, Any]) -> Any:
        """Store an object of git at a path; return GitHub's description of it.

        It is sent again if no answer comes: a second object like it, on no branch, changes nothing.

        Raises:
            NotFound: an object that it names does not exist, or it is hidden from this token.
            SetupInvalid: GitHub refuses the object.
            Unavailable: GitHub does not answer.
        """
        request = replace(self._request("POST", path, {}), body=body, is_repeatable=True)
        return self._ask(request).json()

    def query(self, document: str, variables: Mapping[str, Any]) -> Any:
        """Return the data of a GraphQL query, which must change nothing.

        Raises:
            NotFound: the object does not exist, or it is hidden from this token.
            SetupInvalid: GitHub refuses the query.
        """
        return self._graphql(document, variables, is_query=True)

    def mutate(self, document: str, variables: Mapping[str, Any]) -> Any:
        """Return the data of a GraphQL mutation, which is sent once.

        Raises:
            NotFound: the object does not exist, or it is hidden from this token.
            SetupInvalid: GitHub refuses the mutation.
            Unavailable: the object has changed in the meantime; nothing was done.
            OutcomeUnknown: no answer came, and the mutation must not be sent twice.
        """
        return self._graphql(document, variables, is_query=False)

    def _graphql(self, document: str, variables: Mapping[str, Any], *, is_query: bool) -> Any:
        url = f"{self.api_url.removesuffix('/v3')}/graphql"
        body = {"query": document, "variables": variables}
        answer = self._ask(Request("POST", url, body=body, is_query=is_query)).json()
        if errors := answer.get("errors"):
            message = f"GitHub answers: {str(errors[0].get('message', ''))[:300]}"
            if all(each.get("type") == "NOT_FOUND" for each in errors):
                raise NotFound(message)
            if any(each.get("type") == "STALE_DATA" for each in errors):
                raise Unavailable(message)
            raise SetupInvalid(message)
        if not answer.get("data"):
            raise Unavailable("GitHub's answer to a query has no data; try again later")
        return answer["data"]

    def download(self, path: str, most: int) -> bytes:
        """Return a file of at most `most` bytes that the API keeps on another server.

        Raises:
            SetupInvalid: it is larger, or its address is not encrypted.
        """
        answer = self._ask(self._request("GET", path, {}), follow=False)
        address = answer.headers.get("location", "")
        if not is_confidential(address):
            raise SetupInvalid("GitHub's address of the file is not https")
        return self._ask(Request("GET", address, most=most)).content

    def back_off(self, failures: int) -> None:
        """Wait after `failures` failures in a row, before the next attempt."""
        seconds = backoff_seconds(
            failures, first_seconds=FIRST_BACKOFF_SECONDS, longest_seconds=LONGEST_BACKOFF_SECONDS
        )
        self.wait(with_jitter(seconds))

    def _request(self, method: str, path: str, parameters: Mapping[str, str | int]) -> Request:
        return Request(method, f"{self.api_url}{path}", parameters)

    def _own(self, address: str) -> str:
        if not self.transport.is_own(address):
            raise SetupInvalid("GitHub redirects to another server; the token is not sent there")
        return address

    def _ask(self, request: Request, *, follow: bool = True) -> Answer:
        is_repeatable = (
            request.is_query or request.is_repeatable or request.method in _SAFE_TO_REPEAT
        )
        failure = ""
        for attempt in range(1, ATTEMPTS + 1):
            match self._send(request):
                case Answer() as answer if answer.status in _MOVED and follow:
                    address = urljoin(request.url, answer.headers.get("location", ""))
                    request = replace(request, url=self._own(address), parameters={})
                    failure = f"GitHub redirects {request.name} again and again"
                    continue
                case Answer() as answer if (seconds := rate_limit_seconds(answer)) is not None:
                    if seconds > LONGEST_WAIT_SECONDS:
                        raise Unavailable(
                            f"GitHub's rate limit is used up for {seconds:.0f} seconds"
                        )
                    failure = "GitHub's rate limit is used up"
                    self.report(f"{failure}: waiting for {seconds:.0f} seconds")
                    self.wait(seconds)
                    continue
                case Answer() as answer if answer.status < _BAD_REQUEST:
                    return answer
                case Answer() as answer if answer.status < _SERVER_ERROR:
                    raise _refusal(request, answer)
                case Answer() as answer:
                    failure = f"GitHub answers {request.name} with {answer.status}"
                case str() as kind:
                    failure = f"GitHub does not answer {request.name} ({kind})"
            if not is_repeatable:
                raise OutcomeUnknown(f"{failure}; it may have been done")
            self.back_off(attempt)
        raise Unavailable(f"{failure}; try again later")

    def _send(self, request: Request) -> Answer | str:
        answer = self.transport.send(request)
        return (
            with_rest_status(answer) if request.is_query and isinstance(answer, Answer) else answer
        )


def is_full_name(text: str) -> bool:
    """Return whether GitHub can give a repository this `owner/name`."""
    return _FULL_NAME.fullmatch(text) is not None


def repository_path() -> str:
    """Return the path of the repository that `GITHUB_REPOSITORY` names: `/repos/owner/name`.

    Raises:
        SetupInvalid: it is not owner/name.
    """
    repository = os.environ.get("GITHUB_REPOSITORY", "")
    if not is_full_name(repository):
        raise SetupInvalid("GITHUB_REPOSITORY is not the name of a repository; write owner/name")
    return f"/repos/{repository}"


def _refusal(request: Request, answer: Answer) -> SetupInvalid | NotFound:
    said = f": {answer.message}" if answer.message else ""
    match answer.status:
        case 401:
            return SetupInvalid(f"GitHub rejects the token{said}; set a valid GITHUB_TOKEN")
        case 403:
            return SetupInvalid(
                f"GitHub refuses {request.name} to this token{said}; give the job the permission"
            )
        case 404 | 410 | 451:
            return NotFound(
                f"GitHub does not find {request.name}, or hides it from this token{said}"
            )
        case status:
            return SetupInvalid(f"GitHub refuses {request.name} with {status}{said}")
