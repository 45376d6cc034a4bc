"""The routes of the screens.

Each request reads in short transactions with a time limit. An error of the database is a page with its
sentence, and not a traceback.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from anyio import CapacityLimiter, to_thread
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from reconciler._version import __version__
from reconciler.dashboard.live.streams import Parts
from reconciler.dashboard.screens.cost import read_cost_screen
from reconciler.dashboard.screens.history import (
    WrittenFilter,
    as_csv,
    as_json,
    every_entry,
    read_history_screen,
)
from reconciler.dashboard.screens.in_git import InGit
from reconciler.dashboard.screens.now import read_feature_screen, read_now_screen
from reconciler.dashboard.screens.open_tasks import EMPTY, TITLES
from reconciler.dashboard.screens.page_transaction import page_transaction
from reconciler.dashboard.screens.repositories import read_repositories_screen
from reconciler.database.history import HistoryPage, read_history_page
from reconciler.database.machinery import read_machinery
from reconciler.database.server import ONE_COPY, newest_replayed_change
from reconciler.errors import NotFound, ReconcilerError
from reconciler.operations.open_tasks import read_open_tasks
from reconciler.wording import show_time

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from starlette.requests import Request

    from reconciler.dashboard.sign_in.gate import Render
    from reconciler.database.transactions import Database

MOST_READERS: Final = 8
"""The pages that are read at once, each with one connection; acts do not wait for them."""
_NO_CONTENT_KEPT: Final = {"Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the application gives to the screens."""

    database: "Database"
    """With the rights of a viewer, and a limit of time."""
    render: "Render"
    parts: Parts
    in_git: InGit
    reads_replica: bool = False
    """Whether each page shows the time of the newest change that the server has."""


def is_fragment(request: "Request") -> bool:
    """Return whether a live page asks for its content alone."""
    return "x-fragment" in request.headers


def screen_routes(surroundings: Surroundings) -> list[Route]:
    """Return the routes; each answers GET alone."""
    screens: Mapping[str, Callable[[Surroundings, Request], Response]] = {
        "/": _now,
        "/api/now": _now_as_json,
        "/readyz": _healthz,
        "/healthz": _healthz,
        "/features/{name:path}": _feature,
        "/repositories": _repositories,
        "/repositories/found": _repositories_found,
        "/waiting": _waiting,
        "/history": _history,
        "/history.csv": _history_csv,
        "/history.json": _history_json,
        "/machinery": _machinery,
        "/cost": _cost,
    }
    limiter = CapacityLimiter(MOST_READERS)
    return [
        Route(path, _answering(screen, surroundings, limiter), methods=["GET"], name=path)
        for path, screen in screens.items()
    ]


def _answering(
    screen: "Callable[[Surroundings, Request], Response]",
    surroundings: Surroundings,
    limiter: CapacityLimiter,
) -> "Callable[[Request], Awaitable[Response]]":
    def read(request: "Request") -> Response:
        try:
            if surroundings.reads_replica:
                with page_transaction(surroundings.database) as connection:
                    request.state.newest_change = newest_replayed_change(connection)
            return screen(surroundings, request)
        except NotFound as error:
            return surroundings.render(request, "problem.html", {"problem": str(error)}, 404)
        except ReconcilerError as error:
            return surroundings.render(request, "problem.html", {"problem": str(error)}, 503)

    def answer(request: "Request") -> Response:
        if not is_fragment(request):
            return read(request)
        person = request.state.person
        key = (None if person is None else person.role, request.url.path, request.url.query)
        return surroundings.parts.get(key, lambda: read(request))

    async def answer_in_thread(request: "Request") -> Response:
        # Before it is read: a change meanwhile has a newer version.
        request.state.version = surroundings.parts.version
        return await to_thread.run_sync(answer, request, limiter=limiter)

    return answer_in_thread


def _now(surroundings: Surroundings, request: "Request") -> Response:
    screen = read_now_screen(surroundings.database)
    return surroundings.render(request, "now.html", {"screen": screen}, 200)


def _now_as_json(surroundings: Surroundings, _request: "Request") -> Response:
    screen = read_now_screen(surroundings.database)
    features = [row.as_object() for row in screen.rows]
    return JSONResponse({"as_of": show_time(screen.as_of), "features": features})


def _healthz(surroundings: Surroundings, _request: "Request") -> Response:
    with page_transaction(surroundings.database):
        return JSONResponse({"status": "ok"})


def _feature(surroundings: Surroundings, request: "Request") -> Response:
    with page_transaction(surroundings.database) as connection:
        screen = read_feature_screen(connection, request.path_params["name"])
    block = surroundings.in_git.block(screen.row.feature.name)
    return surroundings.render(request, "feature.html", {"screen": screen, "block": block}, 200)


def _repositories(surroundings: Surroundings, request: "Request") -> Response:
    return _show_repositories(surroundings, request, "repositories.html")


def _repositories_found(surroundings: Surroundings, request: "Request") -> Response:
    return _show_repositories(surroundings, request, "repositories_found.html")


def _show_repositories(surroundings: Surroundings, request: "Request", template: str) -> Response:
    asked = request.query_params
    query, at = asked.get("q", ""), asked.get("at", "")
    with page_transaction(surroundings.database) as connection:
        screen = read_repositories_screen(connection, query, at)
    return surroundings.render(request, template, {"screen": screen}, 200)


def _waiting(surroundings: Surroundings, request: "Request") -> Response:
    sections = read_open_tasks(surroundings.database)
    values = {"sections": sections, "titles": TITLES, "empty": EMPTY}
    return surroundings.render(request, "waiting.html", values, 200)


def _history(surroundings: Surroundings, request: "Request") -> Response:
    written = WrittenFilter.of(request.query_params)
    with page_transaction(surroundings.database) as connection:
        screen = read_history_screen(connection, written, request.query_params.get("before", ""))
    status = 200 if screen.problem is None else 400
    return surroundings.render(request, "history.html", {"screen": screen}, status)


def _history_csv(surroundings: Surroundings, request: "Request") -> Response:
    return _export(surroundings, request, as_csv, "text/csv; charset=utf-8", "history.csv")


def _history_json(surroundings: Surroundings, request: "Request") -> Response:
    return _export(surroundings, request, as_json, "application/json", "history.json")


def _export(
    surroundings: Surroundings,
    request: "Request",
    write: "Callable[[Iterator[Any]], Iterator[str]]",
    media_type: str,
    name: str,
) -> Response:
    try:
        wanted = WrittenFilter.of(request.query_params).read(datetime.now(UTC))
    except ValueError as error:
        return PlainTextResponse(f"{error}\n", status_code=400)
    database = surroundings.database

    def read_page(limit: int, before: int | None) -> HistoryPage:
        with page_transaction(database) as connection:
            return read_history_page(connection, wanted, limit=limit, before=before)

    # The first page is read here, so that an error is an answer and not a broken file.
    first = read_page(1, None)
    entries = every_entry(read_page) if first.entries else iter(())
    headers = {**_NO_CONTENT_KEPT, "Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(write(entries), media_type=media_type, headers=headers)


def _cost(surroundings: Surroundings, request: "Request") -> Response:
    feature = request.query_params.get("feature", "").replace("\0", " ").strip()
    with page_transaction(surroundings.database) as connection:
        screen = read_cost_screen(connection, feature, datetime.now(UTC))
    return surroundings.render(request, "cost.html", {"screen": screen}, 200)


def _machinery(surroundings: Surroundings, request: "Request") -> Response:
    with page_transaction(surroundings.database) as connection:
        machinery = read_machinery(connection)
    values = {"machinery": machinery, "version": __version__, "one_copy": ONE_COPY}
    return surroundings.render(request, "machinery.html", values, 200)
