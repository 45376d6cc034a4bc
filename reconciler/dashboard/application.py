"""The application: screens over one database, with the headers of a strict policy.

Every value of a file, a job or a repository's owner is text: templates escape it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from reconciler.dashboard.acts import Acting, act_routes
from reconciler.dashboard.forms import Forms
from reconciler.dashboard.live.listener import Listener
from reconciler.dashboard.live.streams import Parts, stream_route
from reconciler.dashboard.metrics import Metrics
from reconciler.dashboard.screens.filters import FILTERS
from reconciler.dashboard.screens.in_git import InGit
from reconciler.dashboard.screens.routes import Surroundings, is_fragment, screen_routes
from reconciler.dashboard.sign_in.gate import OPEN_PATHS, Gate, LocalSignIn, SignIn
from reconciler.dashboard.sign_in.signer import Signer
from reconciler.escape import spelled_out
from reconciler.listen_address import host_of, is_loopback
from reconciler.ofrep.observation import Observed

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from reconciler.database.transactions import Database

_ROOM: Final = Path(__file__).parent
HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Dashboard:
    """What a dashboard is made of."""

    reading: "Database"
    """With the rights of a viewer, and a limit of time."""
    sign_in: SignIn
    acting: Acting | None = None
    """None for a dashboard that only reads."""
    signer: Signer = field(default_factory=Signer.random)
    public_url: str | None = None
    """The address in a browser, where it is another one than that of the request."""
    in_git: InGit = field(default_factory=InGit)
    """What the pages show from git."""
    replica: "Database | None" = None
    """The server that pages are read from, if it is another one; acts and their effect never are."""
    listener: Listener = field(init=False)
    """Notices changes, for live pages."""

    def __post_init__(self) -> None:
        """Make the listener; it starts with the first stream."""
        object.__setattr__(self, "listener", Listener(self.pages))

    @property
    def pages(self) -> "Database":
        """The database that pages are read from."""
        return self.replica or self.reading

    @property
    def is_local(self) -> bool:
        """Whether it has no sign-in, so that this machine alone may reach it."""
        return isinstance(self.sign_in, LocalSignIn)


def _shown(value: object) -> object:
    """Return a value as a template shows it: markup as it is, text with control characters spelled out."""
    is_text = isinstance(value, str) and not hasattr(value, "__html__")
    return spelled_out(str(value), kept="\n") if is_text else value


def make_application(dashboard: Dashboard) -> Starlette:
    """Return the application."""
    templates = Environment(
        loader=FileSystemLoader(_ROOM / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
    )
    templates.filters.update(FILTERS)
    forms = Forms(dashboard.signer, dashboard.public_url)

    def render(request: "Request", name: str, values: Mapping[str, Any], status: int) -> Response:
        person = request.state.person
        session = forms.session(request)
        ends_sessions = dashboard.sign_in.ends_sessions and person is not None
        common = {
            "path": request.url.path,
            "version": getattr(request.state, "version", ""),
            "is_missing": status == HTTPStatus.NOT_FOUND,
            "in_git": dashboard.in_git,
            "is_fragment": is_fragment(request),
            "newest_change": getattr(request.state, "newest_change", None),
            "person": person,
            "acts": dashboard.acting is not None and person is not None and person.may_act,
            "ends_sessions": ends_sessions,
            "sign_out_proof": forms.proof(request, session),
        }
        response = HTMLResponse(templates.get_template(name).render(common | dict(values)), status)
        if ends_sessions:
            forms.keep(request, response, session)
        return response

    acting = dashboard.acting
    changes = dashboard.listener.changes
    metrics = Metrics(changes)
    surroundings = Surroundings(
        dashboard.pages,
        render,
        Parts(changes),
        dashboard.in_git,
        reads_replica=dashboard.replica is not None,
    )

    def show_missing(request: "Request", _error: Exception) -> Response:
        problem = f"no page has the address {request.url.path}"
        if "text/html" in request.headers.get("accept", ""):
            return render(request, "problem.html", {"problem": problem}, HTTPStatus.NOT_FOUND)
        return PlainTextResponse(f"{problem}\n", HTTPStatus.NOT_FOUND)

    return Starlette(
        exception_handlers={HTTPStatus.NOT_FOUND: show_missing},
        routes=[
            Mount("/static", StaticFiles(directory=_ROOM / "static"), name="static"),
            *dashboard.sign_in.routes(forms, render),
            *(() if acting is None else act_routes(acting, dashboard.reading, forms, render)),
            stream_route(dashboard.listener),
            Route("/livez", _live, methods=["GET"]),
            Route("/metrics", metrics.serve, methods=["GET"]),
            *screen_routes(surroundings),
        ],
        middleware=[
            Middleware(Observed, metrics.count),
            Middleware(Guard, dashboard),
            Middleware(Gate, dashboard.sign_in),
        ],
    )


async def _live(_request: "Request") -> Response:
    return JSONResponse({"status": "ok"})


class Guard:
    """Refuses a request under another host's name, which a page of that host sent; adds the headers."""

    def __init__(self, application: "ASGIApp", dashboard: Dashboard) -> None:
        self._application = application
        self._is_local = dashboard.is_local
        url = dashboard.public_url
        self._public_host = None if url is None else urlsplit(url).netloc.lower()

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return

        async def send_with_headers(message: "Message") -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(hosts) == 1 and self._is_known(hosts[0], scope["path"]):
            await self._application(scope, receive, send_with_headers)
            return
        address = "its address, such as 127.0.0.1" if self._is_local else "its own address"
        refused = PlainTextResponse(f"open the dashboard by {address}\n", 421)
        await refused(scope, receive, send_with_headers)

    def _is_known(self, host: str, path: str) -> bool:
        if self._is_local:
            return is_loopback(host_of(host))
        # A probe of a cluster asks by the address of the container.
        return self._public_host in (None, host.lower()) or path in OPEN_PATHS
