"""ASGI: the client follows from the start of the server on, and its outcomes are written at the end.

For any framework, around the application:

    application = RolloutMiddleware(application, client)

For Starlette and FastAPI, as their lifespan:

    application = FastAPI(lifespan=rollout_lifespan(client))

On SIGTERM uvicorn runs the end of the lifespan, and no exit handlers. The client stays open: an application
may be served again in the same process, as tests do.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from rollout_client.client import RolloutClient

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


class RolloutMiddleware:
    """An application that starts a client with its server, and writes its outcomes at the end."""

    def __init__(self, application: Application, client: RolloutClient) -> None:
        self._application = application
        self._client = client

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass everything on; when the server starts or ends, the client starts or ends first."""
        if scope["type"] == "lifespan":
            await self._pass_lifespan(scope, receive, send)
        else:
            await self._application(scope, receive, send)

    async def _pass_lifespan(self, scope: Message, receive: Receive, send: Send) -> None:
        is_started = is_answered = False

        async def receive_and_start() -> Message:
            nonlocal is_started
            message = await receive()
            if message["type"] == "lifespan.startup":
                await asyncio.to_thread(self._client.__enter__)
                is_started = True
            return message

        async def flush_and_send(message: Message) -> None:
            nonlocal is_answered
            is_answered = True
            if message["type"].startswith("lifespan.shutdown."):
                await asyncio.to_thread(self._client.flush)
            await send(message)

        try:
            await self._application(scope, receive_and_start, flush_and_send)
        except Exception:
            if is_answered:
                raise
        if not is_answered:
            # The application has no lifespan (such as Django's); the server still gets one.
            if not is_started:
                await receive_and_start()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await flush_and_send({"type": "lifespan.shutdown.complete"})


def rollout_lifespan(
    client: RolloutClient,
) -> Callable[[Any], AbstractAsyncContextManager[None]]:
    """Return a lifespan that starts a client, and writes its outcomes at the end."""

    @asynccontextmanager
    async def lifespan(_application: Any) -> AsyncIterator[None]:
        await asyncio.to_thread(client.__enter__)
        try:
            yield
        finally:
            await asyncio.to_thread(client.flush)

    return lifespan
