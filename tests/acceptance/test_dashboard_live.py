"""Live pages of the dashboard: tabs of real browsers, with another connection beside them."""

import json
import signal
import socket
import socketserver
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from reconciler.dashboard.live.listener import APPLICATION_NAME
from tests.browser import chromium, dashboard, needs_browser
from tests.builders import FEATURE, add_repositories
from tests.eventually import eventually
from tests.pooler import needs_pgbouncer, pooled
from tests.site import Site

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LISTENING = (
    "SELECT count(*) FROM pg_stat_activity"
    f" WHERE application_name = '{APPLICATION_NAME}' AND datname = current_database()"
)
STREAMS = 200


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    with chromium() as opened:
        yield opened


@pytest.fixture
def applied(site: Site) -> Site:
    """A site whose feature is live."""
    add_repositories(site.database, "acme/tools", "acme/site")
    site.reconcile("--yes")
    return site


def open_live(page: "Page", address: str) -> list[str]:
    """Open a page and wait until it is live; return what the browser complains about."""
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    page.get_by_text("Live, as of").wait_for()
    return complaints


def set_percentage(site: Site, percentage: int) -> None:
    site.database.execute(f"UPDATE rollout_configuration SET rollout_percentage = {percentage}")


@needs_browser
def test_a_change_shows_in_two_tabs_and_in_another_browser(
    applied: Site, browser: "Browser"
) -> None:
    with dashboard(applied) as (address, _):
        first_browser, second_browser = browser.new_context(), browser.new_context()
        tabs = [first_browser.new_page(), first_browser.new_page(), second_browser.new_page()]
        paths = ("/", f"/features/{FEATURE}", "/")
        complaints = [
            open_live(page, address + path) for page, path in zip(tabs, paths, strict=True)
        ]
        applied.database.execute("UPDATE rollout_configuration SET emergency_stop = true")
        for page in tabs:
            page.get_by_text("■ stopped").wait_for()
        # The tab with the stream closes: another one of its browser opens one.
        tabs[0].close()
        applied.database.execute("UPDATE rollout_configuration SET emergency_stop = false")
        for page in tabs[1:]:
            page.get_by_text("● active").wait_for()
        assert applied.database.value(LISTENING) == 1

    assert complaints == [[], [], []]


@needs_browser
def test_what_a_person_did_on_a_page_stays(applied: Site, browser: "Browser") -> None:
    with dashboard(applied) as (address, _):
        page = browser.new_page()
        open_live(page, f"{address}/features/{FEATURE}")
        page.locator("details summary").first.click()
        page.get_by_role("link", name="Roll back").focus()
        set_percentage(applied, 33)
        page.get_by_text("33 percent, strategy").wait_for()
        assert page.locator("details").first.get_attribute("open") is not None
        assert page.locator(":focus").inner_text() == "Roll back"
        page.close()


@needs_browser
def test_a_page_that_hears_nothing_turns_grey_and_comes_back(
    applied: Site, browser: "Browser"
) -> None:
    with dashboard(applied) as (address, process):
        page = browser.new_page()
        page.clock.install()
        open_live(page, address)
        process.send_signal(signal.SIGSTOP)
        page.clock.fast_forward(11_000)
        page.get_by_text("Nothing heard from the dashboard").wait_for()
        assert page.locator("body.stale").count() == 1
        process.send_signal(signal.SIGCONT)
        page.get_by_text("Live, as of").wait_for()
        assert page.locator("body.stale").count() == 0
        page.close()


@contextmanager
def losing_the_first_stream(behind: str) -> "Iterator[tuple[str, Event]]":
    """Yield an address in front of a dashboard, and what makes its first stream silent without an end."""
    target = httpx.URL(behind)
    is_lost = Event()

    class Relay(socketserver.BaseRequestHandler):
        is_first = True

        def handle(self) -> None:
            asked = self.request.recv(65_536)
            is_stream = asked.startswith(b"GET /live ")
            loses = is_stream and Relay.is_first
            Relay.is_first = Relay.is_first and not is_stream
            # One request a connection, so that a stream is alone in its own.
            asked = asked.replace(b"Connection: keep-alive", b"Connection: close")
            with socket.create_connection((target.host, target.port or 80)) as onward:
                onward.sendall(asked)
                with suppress(OSError):
                    while part := onward.recv(65_536):
                        if not (loses and is_lost.is_set()):
                            self.request.sendall(part)

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Relay)
    server.daemon_threads = True
    server.block_on_close = False
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", is_lost
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@needs_browser
def test_a_stream_that_dies_without_an_error_is_opened_again(
    applied: Site, browser: "Browser"
) -> None:
    with (
        dashboard(applied) as (behind, _),
        losing_the_first_stream(behind) as (address, is_lost),
    ):
        page = browser.new_page()
        page.clock.install()
        open_live(page, address)
        is_lost.set()
        set_percentage(applied, 33)
        with page.expect_request("**/live"):
            page.clock.fast_forward(16_000)
        page.get_by_role("cell", name="33", exact=True).wait_for()
        page.get_by_text("Live, as of").wait_for()
        page.close()


@needs_browser
def test_a_page_stays_live_over_a_restart_of_the_dashboard(
    applied: Site, browser: "Browser"
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listen = f"127.0.0.1:{listener.getsockname()[1]}"
    page = browser.new_page()
    with dashboard(applied, "--listen", listen) as (address, _):
        open_live(page, address)
    set_percentage(applied, 33)
    with dashboard(applied, "--listen", listen):
        page.get_by_role("cell", name="33", exact=True).wait_for()
    page.close()


@needs_browser
def test_ten_tabs_of_a_browser_are_answered_and_live(applied: Site, browser: "Browser") -> None:
    # A browser has six connections for one address.
    with dashboard(applied) as (address, _):
        context = browser.new_context()
        tabs = [context.new_page() for _ in range(10)]
        for page in tabs:
            open_live(page, address)
        set_percentage(applied, 33)
        for page in tabs:
            page.bring_to_front()
            page.get_by_role("cell", name="33", exact=True).wait_for()
        context.close()


@needs_browser
def test_a_page_whose_database_cannot_be_read_turns_grey(applied: Site, browser: "Browser") -> None:
    with dashboard(applied) as (address, _):
        page = browser.new_page()
        page.clock.install()
        open_live(page, address)
        applied.database.execute("ALTER TABLE rollout_history RENAME TO elsewhere")
        page.clock.fast_forward(11_000)
        page.get_by_text("Nothing heard from the dashboard").wait_for()
        page.close()


@needs_browser
@needs_pgbouncer
def test_behind_a_pooler_a_page_polls_and_says_so(applied: Site, browser: "Browser") -> None:
    with (
        pooled(applied.database) as through,
        dashboard(applied, environment={"DATABASE_URL": through.url}) as (address, _),
    ):
        page = browser.new_page()
        page.goto(address)
        page.get_by_text("looks for changes every 5 seconds").wait_for()
        set_percentage(applied, 33)
        page.get_by_role("cell", name="33", exact=True).wait_for()
        page.close()


def opened_stream(address: str) -> socket.socket:
    url = httpx.URL(address)
    stream = socket.create_connection((url.host, url.port or 80), timeout=30)
    stream.sendall(f"GET /live HTTP/1.1\r\nHost: {url.host}\r\n\r\n".encode())
    return stream


def next_states(stream: socket.socket) -> Sequence[dict[str, Any]]:
    """Return the states of the next messages, at least one."""
    text = ""
    while not text.rstrip().endswith("}"):
        part = stream.recv(65_536).decode()
        assert part, "the stream ended"
        text += part if "data: " in text + part else ""
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]


def test_two_hundred_streams_have_one_connection_and_end_with_a_signal(applied: Site) -> None:
    with dashboard(applied) as (address, process), ExitStack() as stack:
        streams = [stack.enter_context(opened_stream(address)) for _ in range(STREAMS)]
        versions = {next_states(stream)[-1]["version"] for stream in streams}
        set_percentage(applied, 33)
        for stream in streams:
            while {each["version"] for each in next_states(stream)} <= versions:
                pass
        connections = applied.database.value(LISTENING)
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=20)
        for stream in streams:
            while stream.recv(65_536):
                pass

    assert (connections, code) == (1, 0)


def test_no_connection_listens_before_a_page_is_open(applied: Site) -> None:
    with dashboard(applied) as (address, _):
        assert httpx.get(f"{address}/healthz").status_code == 200
        assert applied.database.value(LISTENING) == 0
        with opened_stream(address) as stream:
            next_states(stream)
            eventually(lambda: applied.database.value(LISTENING) == 1)
