"""Acting on a feature: stop, roll back, resume, from pages that work without scripts.

A page first shows the effect of the act. The act takes place only if the feature is still as the page
showed it; otherwise the answer is 409 with the present state. A form carries a proof that it came from a
page of this dashboard.
"""

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from reconciler.errors import Moved, NotFound, ReconcilerError, Refused
from reconciler.operations.limit_change import (
    LimitChange,
    Resume,
    RollBack,
    Stop,
    change_limit,
    forecast,
)
from reconciler.operations.seen import SeenBy

if TYPE_CHECKING:
    from starlette.requests import Request

    from reconciler.dashboard.screens.routes import Render
    from reconciler.database.transactions import Database

COOKIE: Final = "rollout_form"
VIA: Final = "dashboard"
_VERBS: Final[Mapping[str, str]] = {"stop": "Stop", "rollback": "Roll back", "resume": "Resume"}
_MAX_BODY_BYTES: Final = 16_384
_MAX_FIELDS: Final = 20
_MOST_PERCENT: Final = 100

Form = Mapping[str, str]


class BadForm(ReconcilerError):
    """Fill in the form again: a field is missing or is not a number."""


@dataclass(frozen=True, slots=True)
class Acting:
    """Who acts from this dashboard, and what follows an act."""

    database: "Database"
    """With the rights to act."""
    person: "Callable[[Request], str]"
    """Returns the author of an act, for history."""
    write_back: Callable[[], Sequence[str]]
    """Writes overrides to git; returns the outcome as sentences."""
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    def proof(self, session: str) -> str:
        """Return the proof that a form was read in a session."""
        return hmac.new(self.secret, session.encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class _Pages:
    """What the pages of acts need."""

    acting: Acting
    render: "Render"

    def problem(self, request: "Request", error: ReconcilerError, status: HTTPStatus) -> Response:
        return self.render(request, "problem.html", {"problem": str(error)}, status)


def act_routes(acting: Acting, render: "Render") -> list[Route]:
    """Return the routes of the three acts: GET shows the effect, POST acts."""
    pages = _Pages(acting, render)
    return [
        Route(f"/features/{{name:path}}/{act}", endpoint, methods=[method], name=f"{method} {act}")
        for act in _VERBS
        for method, endpoint in (
            ("GET", _showing(pages, act)),
            ("POST", _doing(pages, act)),
        )
    ]


def _showing(pages: _Pages, act: str) -> "Callable[[Request], Response]":
    def show(request: "Request") -> Response:
        return _page(pages, request, act, dict(request.query_params))

    return show


def _doing(pages: _Pages, act: str) -> "Callable[[Request], Awaitable[Response]]":
    async def do(request: "Request") -> Response:
        form = await _read_form(request)
        if form is None:
            return PlainTextResponse("the form is too long\n", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        if not _is_from_here(pages.acting, request, form):
            return PlainTextResponse(
                "this form is not from this dashboard, or is too old; open the page again\n",
                HTTPStatus.FORBIDDEN,
            )
        return await run_in_threadpool(_act, pages, request, act, form)

    return do


def _act(pages: _Pages, request: "Request", act: str, form: Form) -> Response:
    acting, name = pages.acting, request.path_params["name"]
    try:
        change, reason = _wanted(act, form)
        seen = SeenBy(form.get("version", ""), VIA)
        by = acting.person(request)
        changed = change_limit(acting.database, name, change, by=by, reason=reason, seen=seen)
    except NotFound as error:
        return pages.problem(request, error, HTTPStatus.NOT_FOUND)
    except (Moved, Refused) as error:
        return _page(pages, request, act, form, problem=error, status=HTTPStatus.CONFLICT)
    except BadForm as error:
        return _page(pages, request, act, form, problem=error, status=HTTPStatus.BAD_REQUEST)
    except ReconcilerError as error:
        return pages.problem(request, error, HTTPStatus.SERVICE_UNAVAILABLE)
    values = {
        "name": name,
        "verb": _VERBS[act],
        "changed": changed,
        "written": () if changed.acted.act is None else _written(acting),
    }
    return pages.render(request, "act_done.html", values, HTTPStatus.OK)


def _written(acting: Acting) -> Sequence[str]:
    """Return the outcome of the write-back; its failure does not hide the act, which took place."""
    try:
        return acting.write_back()
    except ReconcilerError as error:
        return (f"not in git yet: {error}; to try again: reconcile write-back",)


def _page(
    pages: _Pages,
    request: "Request",
    act: str,
    form: Form,
    *,
    problem: ReconcilerError | None = None,
    status: HTTPStatus = HTTPStatus.OK,
) -> Response:
    """Return the page that shows the effect of an act as of now, with its form."""
    acting, name = pages.acting, request.path_params["name"]
    try:
        change = _change(act, form)
    except BadForm as error:
        change, problem, status = None, error, HTTPStatus.BAD_REQUEST
    try:
        expected = forecast(acting.database, name, Stop() if change is None else change)
    except NotFound as error:
        return pages.problem(request, error, HTTPStatus.NOT_FOUND)
    except Refused as error:
        return pages.problem(request, error, HTTPStatus.CONFLICT)
    except ReconcilerError as error:
        return pages.problem(request, error, HTTPStatus.SERVICE_UNAVAILABLE)
    session = request.cookies.get(COOKIE) or secrets.token_urlsafe(32)
    values = {
        "act": act,
        "name": name,
        "verb": _VERBS[act],
        "needs_percentage": change is None,
        "to": form.get("to", ""),
        "reason": form.get("reason", ""),
        "expected": expected,
        "problem": problem,
        "csrf": acting.proof(session),
    }
    response = pages.render(request, "act.html", values, status)
    response.set_cookie(
        COOKIE, session, httponly=True, samesite="strict", secure=request.url.scheme == "https"
    )
    return response


def _wanted(act: str, form: Form) -> tuple[LimitChange, str]:
    """Return the wanted change and its reason.

    Raises:
        BadForm: one of them is missing.
    """
    change, reason = _change(act, form), form.get("reason", "").strip()
    if change is None:
        raise BadForm("give the percentage to roll back to")
    if not reason:
        raise BadForm("give a reason")
    return change, reason


def _change(act: str, form: Form) -> LimitChange | None:
    """Return the wanted change; None for a rollback whose percentage is not given yet."""
    match act:
        case "stop":
            return Stop()
        case "resume":
            return Resume()
        case _:
            text = form.get("to", "").strip()
            return RollBack(_percentage(text)) if text else None


def _percentage(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or not 0 <= number <= _MOST_PERCENT or number != round(number, 2):
        raise BadForm("the percentage is a number from 0 to 100 with at most two decimals")
    return number


def _is_from_here(acting: Acting, request: "Request", form: Form) -> bool:
    """Return whether a page of this dashboard sent the form, in the session that read it."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        return False
    session = request.cookies.get(COOKIE)
    sent = form.get("csrf", "").encode()
    return session is not None and hmac.compare_digest(sent, acting.proof(session).encode())


async def _read_form(request: "Request") -> Form | None:
    """Return the fields of a form, the last value of each; None if it is too long."""
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > _MAX_BODY_BYTES:
            return None
    try:
        found = parse_qs(
            content.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_MAX_FIELDS
        )
    except ValueError:
        return None
    return {name: values[-1] for name, values in found.items()}
