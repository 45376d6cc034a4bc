"""Sessions of browsers: a signed cookie with an end, and signing out."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from reconciler.dashboard.forms import Forms, FormTooLong, read_form
from reconciler.dashboard.sign_in.signer import Signer

if TYPE_CHECKING:
    from starlette.requests import Request

SESSION_COOKIE: Final = "rollout_session"
SESSION_SECONDS: Final = 8 * 3600.0
"""A person signs in again after a working day."""
_PURPOSE: Final = "session"


def start_session(
    forms: Forms,
    signer: Signer,
    request: "Request",
    response: Response,
    claims: Mapping[str, Any],
    *,
    seconds: float = SESSION_SECONDS,
) -> None:
    """Give the browser a session with these claims."""
    signed = signer.sign(_PURPOSE, claims, seconds=seconds)
    forms.set_cookie(request, response, SESSION_COOKIE, signed, seconds=int(seconds))


def read_session(signer: Signer, cookie: str | None) -> Mapping[str, Any] | None:
    """Return the claims of a session; None if it has ended or is forged."""
    return signer.read(_PURPOSE, cookie)


def sign_out_route(forms: Forms) -> Route:
    """Return the route that ends the session of a browser."""

    async def sign_out(request: "Request") -> Response:
        try:
            form = await read_form(request)
        except FormTooLong as error:
            return PlainTextResponse(f"{error}\n", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        if not forms.is_from_here(request, form):
            return PlainTextResponse("open the page again, and sign out there\n", 403)
        response = RedirectResponse("/", HTTPStatus.SEE_OTHER)
        response.delete_cookie(SESSION_COOKIE)
        return response

    return Route("/logout", sign_out, methods=["POST"])
