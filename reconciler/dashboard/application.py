"""The application: screens over one database, with the headers of a strict policy.

It answers this machine only. Every value of a file, a job or a repository's owner is text: templates
escape it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from reconciler.dashboard.acts import Acting, act_routes
from reconciler.dashboard.screens.filters import FILTERS
from reconciler.dashboard.screens.routes import Surroundings, screen_routes
from reconciler.listen_address import host_of, is_loopback

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


def make_application(database: "Database", acting: Acting | None = None) -> Starlette:
    """Return the application over a database; without `acting` it only reads."""
    templates = Environment(
        loader=FileSystemLoader(_ROOM / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
    )
    templates.filters.update(FILTERS)

    def render(request: "Request", name: str, values: Mapping[str, Any], status: int) -> Response:
        page = templates.get_template(name).render(
            path=request.url.path, acts=acting is not None, **values
        )
        return HTMLResponse(page, status)

    static = Mount("/static", StaticFiles(directory=_ROOM / "static"), name="static")
    return Starlette(
        routes=[
            static,
            *(act_routes(acting, render) if acting is not None else ()),
            *screen_routes(Surroundings(lambda _: database, render)),
        ],
        middleware=[Middleware(Guard)],
    )


class Guard:
    """Refuses a request under another host's name, which a page of that host sent; adds the headers."""

    def __init__(self, application: "ASGIApp") -> None:
        self._application = application

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
        if len(hosts) == 1 and is_loopback(host_of(hosts[0])):
            await self._application(scope, receive, send_with_headers)
            return
        refused = PlainTextResponse("open the dashboard by its address, such as 127.0.0.1\n", 421)
        await refused(scope, receive, send_with_headers)
