"""Answers of a server under load or with a fault."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import httpx

from reconciler.ofrep.access import Access
from reconciler.ofrep.application import make_application
from rollout_client import Answer, RolloutClient
from rollout_client.targeting.eligibility import Rule
from tests import conformance
from tests.ofrep import ONE, Protocol

PROTOCOL = Protocol.read(conformance.require("ofrep"))
PATH = "/ofrep/v1/evaluate/flags/f"


class Client:
    """Answers yes, or raises."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    def decide(self, repository: str, feature: str) -> Answer:
        if self._error is not None:
            raise self._error
        return Answer(eligible=True, rule=Rule.WHITELISTED, reason="")


def asking(client: Client, **settings: Any) -> httpx.AsyncClient:
    application = make_application(cast("RolloutClient", client), Access(), **settings)
    transport = httpx.ASGITransport(application, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost")


def test_an_internal_error_is_reported_without_details() -> None:
    async def ask() -> httpx.Response:
        async with asking(Client(RuntimeError("secret"))) as http:
            return await http.post(PATH, content='{"context": {"targetingKey": "acme/site"}}')

    response = asyncio.run(ask())

    PROTOCOL.check_response(ONE, response)
    assert response.status_code == 500
    assert response.json() == {"errorDetails": "the server failed; its log has the reason"}


def test_one_request_too_many_is_deferred_and_running_ones_are_served() -> None:
    async def ask() -> tuple[httpx.Response, httpx.Response, httpx.Response]:
        is_asked, may_go_on = asyncio.Event(), asyncio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            is_asked.set()
            await may_go_on.wait()
            yield b'{"context": {"targetingKey": "acme/site"}}'

        async with asking(Client(), max_requests_at_once=1) as http:
            first = asyncio.create_task(http.post(PATH, content=slowly()))
            await is_asked.wait()
            second = await http.post(PATH, content="{}")
            may_go_on.set()
            return await first, second, await http.post(PATH, content="{}")

    first, second, third = asyncio.run(ask())

    for each in (first, second, third):
        PROTOCOL.check_response(ONE, each)
    assert (first.status_code, first.json()["value"]) == (200, True)
    assert (second.status_code, second.headers["retry-after"]) == (429, "1")
    assert third.status_code == 400
