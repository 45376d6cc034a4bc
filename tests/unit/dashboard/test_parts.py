"""Parts of live pages: many tabs that ask at once get one answer, and never an older version."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

from starlette.responses import HTMLResponse, Response

from reconciler.dashboard.live.changes import Changes, Mode
from reconciler.dashboard.live.streams import Parts

TABS = 20


def test_tabs_that_ask_at_once_get_one_answer() -> None:
    parts, may_end, rendered = Parts(Changes()), Event(), []

    def render() -> Response:
        rendered.append("once")
        may_end.wait(30)
        return HTMLResponse("<h1>Now</h1>")

    with ThreadPoolExecutor(TABS) as pool:
        asked = [pool.submit(parts.get, "/", render) for _ in range(TABS)]
        may_end.set()
        bodies = {each.result().body for each in asked}

    assert (bodies, rendered) == ({b"<h1>Now</h1>"}, ["once"])


def test_a_new_version_is_rendered_again_and_another_key_too() -> None:
    changes = Changes()
    parts = Parts(changes)

    def body(key: str, text: str) -> bytes:
        return bytes(parts.get(key, lambda: HTMLResponse(text)).body)

    assert body("a", "1") == b"1"
    assert body("a", "2") == b"1"
    assert body("b", "3") == b"3"
    changes.note(Mode.LISTENING, is_changed=False)
    assert body("a", "4") == b"1"
    changes.note(Mode.LISTENING, is_changed=True)
    assert body("a", "5") == b"5"


def test_a_failed_part_is_tried_again() -> None:
    parts = Parts(Changes())

    def fail() -> Response:
        raise ValueError

    for _ in range(2):
        try:
            parts.get("a", fail)
        except ValueError:
            continue
    assert parts.get("a", lambda: HTMLResponse("1")).body == b"1"
