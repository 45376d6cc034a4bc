"""Signing in with a token of a file: a line a token, `role name token`."""

import hmac
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from reconciler.dashboard.forms import Forms, FormTooLong, read_form
from reconciler.dashboard.sign_in.attempts import PERIOD_SECONDS, Attempts
from reconciler.dashboard.sign_in.gate import local_path, to_sign_in
from reconciler.dashboard.sign_in.people import Person, Role
from reconciler.dashboard.sign_in.private_file import read_private
from reconciler.dashboard.sign_in.sessions import (
    SESSION_COOKIE,
    SESSION_SECONDS,
    read_session,
    sign_out_route,
    start_session,
)
from reconciler.dashboard.sign_in.signer import Signer
from reconciler.errors import SetupInvalid
from reconciler.rollout_file.characters import one_line
from reconciler.rollout_file.override import MAX_AUTHOR_LENGTH
from reconciler.watched_file import WatchedFile

if TYPE_CHECKING:
    from starlette.requests import Request

    from reconciler.dashboard.sign_in.gate import Render

_LOG = logging.getLogger("reconciler.dashboard")

SHORTEST_TOKEN: Final = 20
_LONGEST_TOKEN: Final = 4_096
_MOST_TOKENS: Final = 1_000
_PURPOSE: Final = "token"
_PARTS: Final = 3
_TOO_MANY: Final = "too many attempts; wait a minute\n"


@dataclass(frozen=True, slots=True)
class Token:
    """A token, and the person who has it."""

    person: Person
    text: str = field(repr=False)


def parse_tokens(path: Path, content: bytes) -> tuple[Token, ...]:
    """Return the tokens of a file.

    Raises:
        SetupInvalid: a line is not `role name token`; the message has no token.
    """
    tokens: dict[str, Token] = {}
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
        parts = line.split()
        if not parts or parts[0].startswith("#"):
            continue
        place = f"{path}:{number}"
        if len(parts) != _PARTS or parts[0] not in tuple(Role):
            raise SetupInvalid(f"{place}: write role name token; the role is viewer or operator")
        role, name, text = parts
        if not SHORTEST_TOKEN <= len(text) <= _LONGEST_TOKEN or not text.isascii():
            raise SetupInvalid(
                f"{place}: the token of {name} has fewer than {SHORTEST_TOKEN} characters, or others "
                "than ASCII; make one: openssl rand -hex 32"
            )
        if text in tokens:
            raise SetupInvalid(f"{place}: two lines have the same token; make one for each person")
        tokens[text] = Token(Person(one_line(name, MAX_AUTHOR_LENGTH), Role(role)), text)
    if not 0 < len(tokens) <= _MOST_TOKENS:
        raise SetupInvalid(f"{path}: write 1 to {_MOST_TOKENS} lines: role name token")
    return tuple(tokens.values())


def _read_tokens(path: Path) -> tuple[Token, ...]:
    return parse_tokens(path, read_private(path))


def _report_kept(error: SetupInvalid) -> None:
    _LOG.warning("%s; its earlier content still counts", error)


class TokenSignIn:
    """A session of a browser begins with a token; a script sends it with each request.

    A session ends with its token: the file is looked at for each request.
    """

    open_paths: Sequence[str] = ("/login",)
    ends_sessions = True

    def __init__(
        self, path: Path, signer: Signer, *, session_seconds: float = SESSION_SECONDS
    ) -> None:
        """Read the file.

        Raises:
            SetupInvalid: it cannot be read, others can read it, or a line is wrong.
        """
        self._file = WatchedFile(path, _read_tokens, _report_kept)
        self._signer = signer
        self._attempts = Attempts()
        self._session_seconds = session_seconds

    def person(self, request: "Request") -> Person | None:
        kind, _, credentials = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            token = self._checked(request, credentials.strip())
            if token is None:
                return None
            return Person(token.person.name, token.person.role, is_by_header=True)
        session = read_session(self._signer, request.cookies.get(SESSION_COOKIE))
        if session is None:
            return None
        for token in self._file.current():
            if self._signer.proves(str(session.get("token")), _PURPOSE, token.text):
                return token.person
        return None

    def refuse(self, request: "Request") -> Response:
        if self._attempts.is_over_limit(_host(request)):
            return _too_many()
        return to_sign_in(request)

    def routes(self, forms: Forms, render: "Render") -> Sequence[Route]:
        def show(request: "Request", problem: str = "", status: int = HTTPStatus.OK) -> Response:
            session = forms.session(request)
            values = {
                "problem": problem,
                "csrf": forms.proof(request, session),
                "next": local_path(request.query_params.get("next", "/")),
            }
            response = render(request, "login.html", values, status)
            forms.keep(request, response, session)
            return response

        async def sign_in(request: "Request") -> Response:
            try:
                form = await read_form(request)
            except FormTooLong as error:
                return PlainTextResponse(f"{error}\n", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            if not forms.is_from_here(request, form):
                problem = "This form was too old, or was sent by another page. Try again."
                return show(request, problem, HTTPStatus.FORBIDDEN)
            if self._attempts.is_over_limit(_host(request)):
                return _too_many()
            token = self._checked(request, form.get("token", "").strip())
            if token is None:
                problem = "No line of the token file has this token."
                return show(request, problem, HTTPStatus.UNAUTHORIZED)
            response = RedirectResponse(local_path(form.get("next", "/")), HTTPStatus.SEE_OTHER)
            claims = {"token": self._signer.proof(_PURPOSE, token.text)}
            start_session(
                forms, self._signer, request, response, claims, seconds=self._session_seconds
            )
            return response

        return (
            Route("/login", show, methods=["GET"]),
            Route("/login", sign_in, methods=["POST"]),
            sign_out_route(forms),
        )

    def _checked(self, request: "Request", given: str) -> Token | None:
        if self._attempts.is_over_limit(_host(request)):
            return None
        found = None
        for token in self._file.current():
            if hmac.compare_digest(given.encode(), token.text.encode()):
                found = token
        if found is None:
            self._attempts.note_failure(_host(request))
        return found


def _host(request: "Request") -> str:
    return "" if request.client is None else request.client.host


def _too_many() -> Response:
    headers = {"Retry-After": str(int(PERIOD_SECONDS))}
    return PlainTextResponse(_TOO_MANY, HTTPStatus.TOO_MANY_REQUESTS, headers)
