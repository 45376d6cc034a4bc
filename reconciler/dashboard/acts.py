"""Acting on a feature: stop, roll back, resume, from pages that work without scripts.

A page first shows the effect of the act. The act takes place only if the feature is still as the page
showed it; otherwise the answer is 409 with the present state. A form carries a proof that it came from a
page of this dashboard.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from reconciler.dashboard.forms import Form, Forms, FormTooLong, read_form
from reconciler.errors import Moved, NotFound, ReconcilerError, Refused
from reconciler.operations.limit_change import (
    Forecast,
    LimitChange,
    Resume,
    RollBack,
    Stop,
    change_limit,
    forecast,
)
from reconciler.operations.seen import SeenBy
from reconciler.rollout_file.override import MAX_REASON_LENGTH

if TYPE_CHECKING:
    from starlette.requests import Request

    from reconciler.dashboard.sign_in.gate import Render
    from reconciler.dashboard.sign_in.people import Person
    from reconciler.database.transactions import Database

VIA: Final = "dashboard"
_VERBS: Final[Mapping[str, str]] = {"stop": "Stop", "rollback": "Roll back", "resume": "Resume"}
_MEANINGS: Final[Mapping[str, str]] = {
    "stop": "A stop takes it from every repository, also from the whitelist, until a person resumes it.",
    "rollback": (
        "A rollback lowers the percentage until a person resumes it. The whitelist keeps the feature; "
        "only a stop takes it from all."
    ),
    "resume": "A resume removes the limit, so that the percentage of the file counts again.",
}
_MOST_PERCENT: Final = 100


class BadForm(ReconcilerError):
    """Fill in the form again: a field is missing or is not a number."""


@dataclass(frozen=True, slots=True)
class Acting:
    """How acts are written, and what follows one."""

    open_database: "Callable[[], Database]"
    """Returns the database for one act: with the rights to act, and with patience for a switchover."""
    write_back: "Callable[[Database], Sequence[str]]"
    """Writes overrides to git; returns the outcome as sentences."""


@dataclass(frozen=True, slots=True)
class _Pages:
    """What the pages of acts need."""

    acting: Acting
    reading: "Database"
    """With a limit of time."""
    forms: Forms
    render: "Render"

    def problem(self, request: "Request", error: ReconcilerError, status: HTTPStatus) -> Response:
        return self.render(request, "problem.html", {"problem": str(error)}, status)


def act_routes(acting: Acting, reading: "Database", forms: Forms, render: "Render") -> list[Route]:
    """Return the routes of the three acts: GET shows the effect, POST acts."""
    pages = _Pages(acting, reading, forms, render)
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
        if not _person(request).may_act:
            return _forbidden(request)
        return _page(pages, request, act, dict(request.query_params))

    return show


def _doing(pages: _Pages, act: str) -> "Callable[[Request], Awaitable[Response]]":
    async def do(request: "Request") -> Response:
        person = _person(request)
        if not person.may_act:
            return _forbidden(request)
        try:
            form = await read_form(request)
        except FormTooLong as error:
            return PlainTextResponse(f"{error}\n", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        if person.is_by_header:
            return await run_in_threadpool(_act, pages, request, act, form)
        if not pages.forms.is_of_this_site(request):
            return PlainTextResponse(
                "this form is not from this dashboard; open the page again\n", HTTPStatus.FORBIDDEN
            )
        if not pages.forms.is_from_here(request, form):
            # Such as of a page that was open while the dashboard started again: its texts stay.
            return await run_in_threadpool(_show_again, pages, request, act, form)
        return await run_in_threadpool(_act, pages, request, act, form)

    return do


def _show_again(pages: _Pages, request: "Request", act: str, form: Form) -> Response:
    problem = BadForm(
        "the dashboard does not know this form: it was started again, or the form is of another session; "
        "nothing was written; look at the effect and send it again"
    )
    return _page(pages, request, act, form, problem=problem, status=HTTPStatus.FORBIDDEN)


def _person(request: "Request") -> "Person":
    person: Person = request.state.person
    return person


def _forbidden(request: "Request") -> Response:
    name = _person(request).name
    return PlainTextResponse(f"{name} may look and not act\n", HTTPStatus.FORBIDDEN)


def _act(pages: _Pages, request: "Request", act: str, form: Form) -> Response:
    acting, name, person = pages.acting, request.path_params["name"], _person(request)
    try:
        change, reason = _wanted(act, form)
        # A script that sends its token may act on the feature as it is now.
        version = form.get("version", None if person.is_by_header else "")
        database = acting.open_database()
        changed = change_limit(
            database,
            name,
            change,
            by=person.name,
            reason=reason,
            seen=SeenBy(version, VIA),
            counted_in=pages.reading,
        )
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
        "written": () if changed.acted.act is None else _written(acting, database),
    }
    return pages.render(request, "act_done.html", values, HTTPStatus.OK)


def _written(acting: Acting, database: "Database") -> Sequence[str]:
    """Return the outcome of the write-back; its failure does not hide the act, which took place."""
    try:
        return acting.write_back(database)
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
    name = request.path_params["name"]
    try:
        change = _change(act, form)
    except BadForm as error:
        change, problem, status = None, error, HTTPStatus.BAD_REQUEST
    try:
        expected = forecast(pages.reading, name, Stop() if change is None else change)
    except NotFound as error:
        return pages.problem(request, error, HTTPStatus.NOT_FOUND)
    except Refused as error:
        return pages.problem(request, error, HTTPStatus.CONFLICT)
    except ReconcilerError as error:
        return pages.problem(request, error, HTTPStatus.SERVICE_UNAVAILABLE)
    is_done = isinstance(problem, Moved) and _is_own(expected, _person(request), form)
    if is_done:
        problem, status = None, HTTPStatus.OK
    session = pages.forms.session(request)
    values = {
        "act": act,
        "name": name,
        "verb": _VERBS[act],
        "meaning": _MEANINGS[act],
        "needs_percentage": change is None,
        "to": form.get("to", ""),
        "reason": form.get("reason", ""),
        "expected": expected,
        "problem": problem,
        "is_done": is_done,
        "csrf": pages.forms.proof(request, session),
        "longest_reason": MAX_REASON_LENGTH,
    }
    response = pages.render(request, "act.html", values, status)
    pages.forms.keep(request, response, session)
    return response


def _is_own(expected: Forecast, person: "Person", form: Form) -> bool:
    """Return whether the person's own act made what the form asks for: a click that came twice."""
    limit = expected.in_force
    sent = (person.name, form.get("reason", "").strip())
    return expected.act is None and limit is not None and (limit.by, limit.reason) == sent


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
    if len(reason) > MAX_REASON_LENGTH:
        raise BadForm(
            f"the reason has {len(reason):,} characters; write at most {MAX_REASON_LENGTH:,}"
        )
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
