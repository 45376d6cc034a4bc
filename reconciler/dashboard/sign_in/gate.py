"""The gate: each request has a person, or gets the answer of the sign-in."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlencode, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from reconciler.dashboard.sign_in.people import Person, Role

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from starlette.routing import Route
    from starlette.types import ASGIApp, Receive, Scope, Send

    from reconciler.dashboard.forms import Forms

    Render = Callable[[Request, str, Mapping[str, Any], int], Response]

OPEN_PATHS: Final = ("/livez", "/readyz", "/healthz", "/metrics")
_STATIC: Final = "/static/"


class SignIn(Protocol):
    """How a person is known."""

    @property
    def open_paths(self) -> Sequence[str]:
        """The paths that people may open without a sign-in."""

    @property
    def ends_sessions(self) -> bool:
        """Whether a person can sign out here."""

    def person(self, request: Request) -> Person | None:
        """Return the person of a request; None if there is none."""

    def refuse(self, request: Request) -> Response:
        """Return the answer to a request without a person."""

    def routes(self, forms: "Forms", render: "Render") -> Sequence["Route"]:
        """Return the routes of signing in and out."""


class LocalSignIn:
    """Everyone who reaches a loopback address acts as the account that started the dashboard."""

    open_paths: Sequence[str] = ()
    ends_sessions = False

    def __init__(self, name: str) -> None:
        self._person = Person(name, Role.OPERATOR)

    def person(self, request: Request) -> Person | None:
        return self._person

    def refuse(self, request: Request) -> Response:
        return PlainTextResponse("this is not possible\n", 403)

    def routes(self, forms: "Forms", render: "Render") -> Sequence["Route"]:
        return ()


class Gate:
    """Passes on requests with a person, which they have in `request.state.person`."""

    def __init__(self, application: "ASGIApp", sign_in: SignIn) -> None:
        self._application = application
        self._sign_in = sign_in

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["person"] = None
        path: str = scope["path"]
        if path in OPEN_PATHS or path in self._sign_in.open_paths or path.startswith(_STATIC):
            await self._application(scope, receive, send)
            return
        request = Request(scope)
        state["person"] = await run_in_threadpool(self._sign_in.person, request)
        if state["person"] is not None:
            await self._application(scope, receive, send)
            return
        await self._sign_in.refuse(request)(scope, receive, send)


def to_sign_in(request: Request, path: str = "/login") -> Response:
    """Return the way to the page that signs in, for a person; a script gets a status."""
    # The page of an act has the address that its form is sent to, so that a person comes back to it.
    has_page = request.method == "GET" or request.url.path.startswith("/features/")
    is_page = has_page and "text/html" in request.headers.get("accept", "")
    if not is_page or "x-fragment" in request.headers:
        return PlainTextResponse("sign in first\n", 401, {"WWW-Authenticate": "Bearer"})
    if request.headers.get("sec-fetch-site") == "cross-site":
        # A browser sends no strict cookie with a link of another site. The page's own request has it.
        return once_more(path_of(request))
    return RedirectResponse(f"{path}?" + urlencode({"next": path_of(request)}), 303)


def once_more(path: str) -> Response:
    """Return a page that opens a path of this dashboard by itself, with the cookies of this site."""
    from markupsafe import escape

    return HTMLResponse(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Opening</title>'
        f'<meta http-equiv="refresh" content="0; url={escape(path)}">'
        f'<p><a href="{escape(path)}">Open the page</a></p></html>'
    )


def path_of(request: Request) -> str:
    """Return the path of a request with its query."""
    query = request.url.query
    return local_path(f"{request.url.path}?{query}" if query else request.url.path)


def local_path(text: str) -> str:
    """Return a path of this dashboard; the first page for every other text."""
    parts = urlsplit(text)
    is_local = text.startswith("/") and not text.startswith(("//", "/\\"))
    return text if is_local and not (parts.scheme or parts.netloc) else "/"
