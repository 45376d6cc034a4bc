"""OpenID Connect: authorization code with PKCE; the provider's groups have the roles."""

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from reconciler.dashboard.sign_in.gate import local_path, once_more, to_sign_in
from reconciler.dashboard.sign_in.people import Person, Role, RolesOfGroups
from reconciler.dashboard.sign_in.provider import Provider, Started
from reconciler.dashboard.sign_in.sessions import (
    SESSION_COOKIE,
    read_session,
    sign_out_route,
    start_session,
)
from reconciler.dashboard.sign_in.signer import Signer
from reconciler.errors import ReconcilerError, Refused, Unavailable

if TYPE_CHECKING:
    from starlette.requests import Request

    from reconciler.dashboard.forms import Forms
    from reconciler.dashboard.sign_in.gate import Render

BEGIN_PATH: Final = "/oidc/begin"
CALLBACK_PATH: Final = "/oidc/callback"
_COOKIE: Final = "rollout_oidc"
_PURPOSE: Final = "oidc"
_SECONDS: Final = 600
"""How long a person may take at the provider."""


@dataclass(frozen=True)
class OidcSignIn:
    """People by the tokens of an OpenID provider."""

    provider: Provider
    roles: RolesOfGroups
    signer: Signer
    name_claim: str = "email"
    groups_claim: str = "groups"
    open_paths: Sequence[str] = (BEGIN_PATH, CALLBACK_PATH)
    ends_sessions: bool = True

    def person(self, request: "Request") -> Person | None:
        session = read_session(self.signer, request.cookies.get(SESSION_COOKIE))
        # A session of another sign-in has no name: it may be older than this setup, with the same secret.
        if session is None or "name" not in session:
            return None
        return Person(session["name"], Role(session["role"]))

    def refuse(self, request: "Request") -> Response:
        return to_sign_in(request, BEGIN_PATH)

    def routes(self, forms: "Forms", render: "Render") -> Sequence[Route]:
        def problem(request: "Request", error: ReconcilerError) -> Response:
            is_down = isinstance(error, Unavailable)
            status = HTTPStatus.SERVICE_UNAVAILABLE if is_down else HTTPStatus.FORBIDDEN
            return render(request, "problem.html", {"problem": str(error)}, status)

        def begin(request: "Request") -> Response:
            try:
                started = self.provider.begin()
            except ReconcilerError as error:
                return problem(request, error)
            claims = {
                "state": started.state,
                "nonce": started.nonce,
                "verifier": started.verifier,
                "next": local_path(request.query_params.get("next", "/")),
            }
            response = RedirectResponse(started.url, HTTPStatus.SEE_OTHER)
            signed = self.signer.sign(_PURPOSE, claims, seconds=_SECONDS)
            # The provider's page sends the browser back here, which is a request of another site.
            forms.set_cookie(
                request, response, _COOKIE, signed, is_sent_from_elsewhere=True, seconds=_SECONDS
            )
            return response

        def finish(request: "Request") -> Response:
            began = self.signer.read(_PURPOSE, request.cookies.get(_COOKIE))
            try:
                person = self._person(request.query_params, began)
            except ReconcilerError as error:
                response = problem(request, error)
            else:
                assert began is not None  # noqa: S101 - _person refuses a sign-in that did not begin here
                response = once_more(local_path(began["next"]))
                claims = {"name": person.name, "role": person.role.value}
                start_session(forms, self.signer, request, response, claims)
            response.delete_cookie(_COOKIE)
            return response

        return (
            Route(BEGIN_PATH, begin, methods=["GET"]),
            Route(CALLBACK_PATH, finish, methods=["GET"]),
            sign_out_route(forms),
        )

    def _person(self, answer: Mapping[str, str], began: Mapping[str, Any] | None) -> Person:
        if began is None or not secrets.compare_digest(
            answer.get("state", "").encode(), str(began["state"]).encode()
        ):
            raise Refused("this sign-in did not begin in this browser, or took too long; try again")
        if "code" not in answer:
            said = answer.get("error", "no code")[:100]
            raise Refused(f"the provider did not sign you in ({said}); try again")
        started = Started("", began["state"], began["nonce"], began["verifier"])
        claims = self.provider.finish(answer["code"], started, wanted=(self.groups_claim,))
        name = self._name(claims)
        person = self.roles.person(name, _groups(claims.get(self.groups_claim)))
        if person is None:
            raise Refused(
                f"{name} is in no group of --viewers or --operators; ask for one, and sign in again"
            )
        return person

    def _name(self, claims: Mapping[str, Any]) -> str:
        is_unverified = self.name_claim == "email" and claims.get("email_verified") is False
        name = None if is_unverified else claims.get(self.name_claim)
        return str(name or claims["sub"])


def _groups(claim: object) -> Collection[str]:
    match claim:
        case str():
            return (claim,)
        case list():
            return [each for each in claim if isinstance(each, str)]
        case _:
            return ()
