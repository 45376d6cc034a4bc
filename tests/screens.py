"""An application with the screens that only read, in a plain base page."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jinja2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

import reconciler.dashboard
from reconciler.dashboard.screens.filters import FILTERS
from reconciler.dashboard.screens.routes import Surroundings, screen_routes
from reconciler.database.transactions import Database as OpenedDatabase
from tests.postgres import Database

_TEMPLATES = Path(reconciler.dashboard.__file__).parent / "templates"
_BASE = "<title>{% block title %}{% endblock %}</title><main>{% block main %}{% endblock %}</main>"


def make_application(database: OpenedDatabase) -> Starlette:
    """Return the application; a value that a template needs and does not get is an error."""
    templates = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.FileSystemLoader(_TEMPLATES), jinja2.DictLoader({"base.html": _BASE})]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    templates.filters.update(FILTERS)

    def render(_request: Request, name: str, values: Mapping[str, Any], status: int) -> Response:
        return HTMLResponse(templates.get_template(name).render(values), status)

    return Starlette(routes=screen_routes(Surroundings(lambda _: database, render)))


@dataclass(frozen=True)
class Browser:
    """Asks an application in this process."""

    application: Starlette

    @classmethod
    def of(cls, database: Database) -> "Browser":
        """Return a browser of the screens over a test's database."""
        return cls(make_application(OpenedDatabase.at(database.address)))

    def get(
        self, path: str, params: Mapping[str, str] | None = None, *, method: str = "GET"
    ) -> httpx.Response:
        """Return the answer to a request."""

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.application)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.request(method, path, params=params)

        return asyncio.run(ask())
