"""A browser of the dashboard's application, in this process and without a socket."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import httpx
from starlette.applications import Starlette

from reconciler.dashboard.acts import Acting
from reconciler.dashboard.application import Dashboard, make_application
from reconciler.dashboard.screens.in_git import InGit
from reconciler.dashboard.sign_in.gate import LocalSignIn, SignIn
from reconciler.dashboard.sign_in.signer import Signer
from reconciler.database.connection import OF_THE_ACCOUNT, Rights
from reconciler.database.transactions import Database as OpenedDatabase
from tests.postgres import Database


@dataclass(frozen=True)
class Browser:
    """Asks an application in this process."""

    application: Starlette

    @classmethod
    def of(cls, database: Database) -> "Browser":
        """Return a browser of the screens over a test's database."""
        opened = OpenedDatabase.at(database.address)
        return cls(make_application(Dashboard(opened, LocalSignIn("ada"))))

    @classmethod
    def acting(
        cls,
        database: Database,
        write_back: Callable[[OpenedDatabase], Sequence[str]] = lambda _: (),
        *,
        sign_in: SignIn | None = None,
        viewing: Rights = OF_THE_ACCOUNT,
        acting_with: Rights = OF_THE_ACCOUNT,
        signer: Signer | None = None,
        in_git: InGit | None = None,
    ) -> "Browser":
        """Return a browser that may act, with what follows each act."""
        reading = OpenedDatabase.at(database.address, rights=viewing)
        acting = Acting(lambda: OpenedDatabase.at(database.address, rights=acting_with), write_back)
        chosen = sign_in or LocalSignIn("ada")
        return cls(
            make_application(
                Dashboard(
                    reading,
                    chosen,
                    acting,
                    signer or Signer.random(),
                    in_git=in_git or InGit(),
                )
            )
        )

    def get(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        sender: str = "127.0.0.1",
    ) -> httpx.Response:
        """Return the answer to a request of a sender's address."""

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.application, client=(sender, 50_000))
            async with httpx.AsyncClient(
                transport=transport, base_url="http://127.0.0.1"
            ) as client:
                return await client.request(method, path, params=params, headers=headers, data=form)

        return asyncio.run(ask())
