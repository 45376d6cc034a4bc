"""The application: OFREP's two evaluations, probes and metrics, answered from the memory of a client.

Shapes and names are the protocol's. If the protocol has no word for a reason, the metadata's `rule`
names it.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import sha256
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from reconciler.ofrep.access import Access
from reconciler.ofrep.observation import Answered, Metrics, Observed
from reconciler.ofrep.request import RequestRefused, read_repository
from rollout_client.client import RolloutClient
from rollout_client.openfeature.evaluation import (
    ErrorCode,
    Evaluation,
    EvaluationRefused,
    Reason,
    evaluate,
)

MAX_REQUESTS_AT_ONCE: Final = 256
_RETRY_AFTER_SECONDS: Final = 1
_REASONS: Final = frozenset(
    (Reason.STATIC, Reason.TARGETING_MATCH, Reason.SPLIT, Reason.DISABLED, Reason.UNKNOWN)
)
"""The reasons that the protocol has."""

Json = dict[str, Any]


def make_application(
    client: RolloutClient,
    access: Access,
    *,
    cors_origins: Sequence[str] = (),
    on_answered: Callable[[Answered], None] | None = None,
    max_requests_at_once: int = MAX_REQUESTS_AT_ONCE,
) -> Starlette:
    """Return the application that evaluates flags with a client, for requests that `access` allows.

    Args:
        client: decides.
        access: the requests that are answered.
        cors_origins: the origins whose pages may ask from a browser; `*` means all.
        on_answered: called with each request after its answer.
        max_requests_at_once: how many are answered at a time; others get 429.
    """
    evaluations = _Evaluations(client, access, max_requests_at_once)
    metrics = Metrics(client)

    def observe(answered: Answered) -> None:
        metrics.count(answered)
        if on_answered is not None:
            on_answered(answered)

    return Starlette(
        middleware=[
            Middleware(Observed, observe),
            Middleware(
                CORSMiddleware,
                allow_origins=cors_origins,
                allow_methods=["GET", "POST"],
                allow_headers=["Authorization", "Content-Type", "If-None-Match", "X-API-Key"],
                expose_headers=["ETag", "Retry-After"],
            ),
        ],
        routes=[
            Route("/ofrep/v1/evaluate/flags", evaluations.all, methods=["POST"]),
            Route("/ofrep/v1/evaluate/flags/{key:path}", evaluations.one, methods=["POST"]),
            Route("/livez", evaluations.live, methods=["GET"]),
            Route("/readyz", evaluations.health, methods=["GET"]),
            Route("/healthz", evaluations.health, methods=["GET"]),
            Route("/metrics", metrics.serve, methods=["GET"]),
        ],
        exception_handlers={Exception: _show_fault},
    )


class _Evaluations:
    def __init__(self, client: RolloutClient, access: Access, max_requests_at_once: int) -> None:
        self._client = client
        self._access = access
        self._max_requests_at_once = max_requests_at_once
        self._requests = 0

    async def one(self, request: Request) -> Response:
        """Evaluate one flag."""
        key: str = request.path_params["key"]

        async def answer() -> Response:
            repository = await read_repository(request)
            try:
                found = evaluate(self._client, key, repository)
            except EvaluationRefused as error:
                raise _refused(error) from None
            return _json(HTTPStatus.OK, _success(key, found))

        return await self._answer(request, answer, {"key": key})

    async def all(self, request: Request) -> Response:
        """Evaluate all flags; an answer that the sender already has is not sent again."""

        async def answer() -> Response:
            flags = self._all_flags(await read_repository(request))
            response = _json(HTTPStatus.OK, {"flags": flags})
            tag = sha256(response.body).hexdigest()[:32]
            headers = {"ETag": f'"{tag}"', "Cache-Control": "no-cache"}
            if _has(request, tag):
                return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
            response.headers.update(headers)
            return response

        return await self._answer(request, answer, {})

    async def live(self, _request: Request) -> Response:
        """Return that the process answers, with any data: a restart would not help."""
        return _json(HTTPStatus.OK, {"status": "ok"})

    async def health(self, _request: Request) -> Response:
        """Return whether flags can be on."""
        status = self._client.status()
        if not status.is_stale:
            return _json(HTTPStatus.OK, {"status": "ok"})
        said = "starting" if status.age is None else "stale"
        return _json(HTTPStatus.SERVICE_UNAVAILABLE, {"status": said})

    def _all_flags(self, repository: str | UUID | None) -> list[Json]:
        flags = []
        # Without a feature, a name that no feature has shows whether anything was read.
        for key in self._client.status().features or ("",):
            try:
                flags.append(_success(key, evaluate(self._client, key, repository)))
            except EvaluationRefused as error:
                if error.code is not ErrorCode.FLAG_NOT_FOUND:
                    raise _refused(error) from None
        return flags

    async def _answer(
        self, request: Request, answer: Callable[[], Awaitable[Response]], named: Json
    ) -> Response:
        """Return the answer to an allowed request, or an error, with its flag's name."""
        refusal = self._access.refusal(request.headers)
        if refusal is not None:
            return _no_entry(refusal)
        if self._requests >= self._max_requests_at_once:
            return _json(
                HTTPStatus.TOO_MANY_REQUESTS,
                {"errorDetails": "too many requests at once"},
                {"Retry-After": str(_RETRY_AFTER_SECONDS), "Connection": "close"},
            )
        self._requests += 1
        try:
            return await answer()
        except RequestRefused as error:
            details = {"errorDetails": error.details}
            if error.code is not None:
                details |= {"errorCode": error.code, **named}
            return _json(error.status, details)
        except ClientDisconnect:
            return Response(status_code=HTTPStatus.BAD_REQUEST)
        finally:
            self._requests -= 1


def _success(key: str, found: Evaluation) -> Json:
    return {
        "key": key,
        "value": found.value,
        "variant": found.variant,
        "reason": found.reason if found.reason in _REASONS else Reason.UNKNOWN,
        "metadata": dict(found.metadata),
    }


def _refused(error: EvaluationRefused) -> RequestRefused:
    match error.code:
        case ErrorCode.FLAG_NOT_FOUND:
            return RequestRefused(HTTPStatus.NOT_FOUND, str(error), error.code)
        case ErrorCode.TARGETING_KEY_MISSING | ErrorCode.INVALID_CONTEXT:
            return RequestRefused(HTTPStatus.BAD_REQUEST, str(error), error.code)
        case ErrorCode.PROVIDER_NOT_READY:
            return RequestRefused(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))


def _has(request: Request, tag: str) -> bool:
    """Return whether a request names an answer with this tag as one that it already has."""
    named = ",".join(request.headers.getlist("if-none-match")).split(",")
    return any(each.strip().removeprefix("W/").strip('"') in {tag, "*"} for each in named)


def _no_entry(status: HTTPStatus) -> Response:
    if status is HTTPStatus.UNAUTHORIZED:
        return _json(status, {"errorDetails": "a token is needed"}, {"WWW-Authenticate": "Bearer"})
    return _json(
        status, {"errorDetails": "without a token, requests must use a host name of this machine"}
    )


def _json(status: HTTPStatus, content: Json, headers: Mapping[str, str] | None = None) -> Response:
    # In ASCII: a key may contain characters that no encoding accepts.
    body = json.dumps(content, sort_keys=True).encode()
    return Response(body, status, headers, media_type="application/json")


async def _show_fault(_request: Request, _error: Exception) -> Response:
    return _json(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        {"errorDetails": "the server failed; its log has the reason"},
    )
