"""A browser of the dashboard's application, in this process and without a socket."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import httpx
from starlette.applications import Starlette

from reconciler.dashboard.acts import Acting
from reconciler.dashboard.application import make_application
from reconciler.database.transactions import Database as OpenedDatabase
from tests.postgres import Database


@dataclass(frozen=True)
class Browser:
    """Asks an application in this process."""

    application: Starlette

    @classmethod
    def of(cls, database: Database) -> "Browser":
        """Return a browser of the screens over a test's database."""
        return cls(make_application(OpenedDatabase.at(database.address)))

    @classmethod
    def acting(
        cls, database: Database, write_back: Callable[[], Sequence[str]] = lambda: ()
    ) -> "Browser":
        """Return a browser that may act, with what follows each act."""
        opened = OpenedDatabase.at(database.address)
        return cls(make_application(opened, Acting(opened, lambda _: "ada", write_back)))

    def get(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Return the answer to a request."""

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.application)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://127.0.0.1"
            ) as client:
                return await client.request(method, path, params=params, headers=headers, data=form)

        return asyncio.run(ask())
