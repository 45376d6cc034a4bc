"""The dashboard as a process, in a real browser at both widths and in both modes."""

import re
import signal
import socket
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from threading import Thread
from typing import TYPE_CHECKING

import httpx
import pytest

from reconciler.cli.sign_in_options import CLIENT_SECRET_VARIABLE
from reconciler.dashboard.charts import jobs_chart
from reconciler.database.roles import apply_roles
from reconciler.database.transactions import Database as OpenedDatabase
from reconciler.planning.job_series import JobSeries
from tests.browser import chromium, dashboard, needs_browser
from tests.builders import add_repositories, report_jobs, rollout_file
from tests.oidc_provider import CLIENT, SECRET, running_provider
from tests.postgres import PROJECT
from tests.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

LONG = "a_very_long_name_without_a_break_" + "x" * 60
PATHS = (
    "/",
    f"/features/{LONG}",
    f"/features/{LONG}/resume",
    "/features/other/rollback",
    "/repositories?q=acme/",
    "/repositories?q=acme/tools",
    "/waiting",
    "/history",
    "/machinery",
)


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    with chromium() as opened:
        yield opened


@pytest.fixture
def busy(site: Site) -> Site:
    """A site with features of long names, one of them stopped, jobs of both processors and drift."""
    progression = [{"percentage": 10, "soak": "1d"}, {"percentage": 50, "soak": "1d"}]
    feature = {"percentage": 10, "progression": progression, "health": {"method": "evidence"}}
    site.write(rollout_file({LONG: feature, "other": {"percentage": 5}}))
    add_repositories(site.database, "acme/tools", f"acme/{'tools' * 15}")
    site.reconcile("--yes")
    report_jobs(site.database, 9, errors=2, feature=LONG)
    report_jobs(site.database, 9, feature=LONG, processor="inngest")
    site.reconcile("stop", "--feature", LONG, "--reason", "a reason " * 30, "--no-write-back")
    site.database.execute(
        "UPDATE rollout_configuration SET is_active = false WHERE feature_name = 'other'"
    )
    return site


def visit(page: "Page", address: str) -> list[str]:
    """Open a page; return what the browser complains about."""
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    answer = page.goto(address)
    assert answer is not None
    assert answer.ok, answer.text()
    return complaints


@needs_browser
def test_every_screen_fits_its_width_and_the_policy_blocks_nothing(
    busy: Site, browser: "Browser"
) -> None:
    with dashboard(busy) as (address, _):
        # A page of 1280 pixels at 400 percent has 320.
        for width, mode in ((320, "light"), (390, "dark"), (1280, "light")):
            size = {"width": width, "height": 900}
            page = browser.new_page(viewport=size, color_scheme=mode)  # type: ignore[arg-type]
            for path in PATHS:
                assert visit(page, address + path) == []
                wide = page.evaluate("document.documentElement.scrollWidth")
                assert wide <= width, f"{path} is {wide} wide"
                # On a narrow page no cell of these tables is beside the page.
                hidden = page.evaluate(
                    "[...document.querySelectorAll('.rows')].filter("
                    "(each) => each.scrollWidth > each.clientWidth).length"
                )
                assert width > 390 or hidden == 0, path
            page.close()


@needs_browser
def test_a_page_on_paper_is_whole_and_dark_on_white(busy: Site, browser: "Browser") -> None:
    with dashboard(busy) as (address, _):
        # The width of A4 within its margins.
        page = browser.new_page(viewport={"width": 718, "height": 900}, color_scheme="dark")
        page.emulate_media(media="print", color_scheme="dark")
        for path in PATHS:
            visit(page, address + path)
            ink, ground, beside = page.evaluate("""() => {
                const style = getComputedStyle(document.body);
                const wide = [...document.querySelectorAll('.numbers')].filter(
                    (each) => each.getBoundingClientRect().left + each.scrollWidth > innerWidth);
                return [style.color, style.backgroundColor, wide.length];
            }""")
            assert (ink, ground, beside) == ("rgb(31, 35, 40)", "rgb(255, 255, 255)", 0), path
            assert page.get_by_role("button").count() == 0
        page.close()


@needs_browser
def test_a_table_has_no_shadow_in_the_colours_of_the_viewer(busy: Site, browser: "Browser") -> None:
    with dashboard(busy) as (address, _):
        page = browser.new_page(forced_colors="active")
        visit(page, address)
        shadow = "getComputedStyle(document.querySelector('.numbers')).backgroundImage"
        assert page.evaluate(shadow) == "none"
        page.emulate_media(forced_colors="none")
        assert page.evaluate(shadow) != "none"
        page.close()


@needs_browser
def test_a_table_of_blocks_is_a_table_for_a_screen_reader(busy: Site, browser: "Browser") -> None:
    roles = []
    with dashboard(busy) as (address, _):
        for width in (390, 1280):
            page = browser.new_page(viewport={"width": width, "height": 900})
            visit(page, address)
            nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
            found = [each["role"]["value"] for each in nodes if not each["ignored"]]
            wanted = ("table", "row", "rowheader", "columnheader", "cell")
            roles.append({role: found.count(role) for role in wanted})
            page.close()

    assert roles[0] == roles[1]
    assert roles[1]["rowheader"] == 2


@needs_browser
def test_the_policy_reports_nothing_on_any_screen(busy: Site, browser: "Browser") -> None:
    with dashboard(busy) as (behind, _), hearing_reports(behind) as (address, reports):
        page = browser.new_page()
        for path in PATHS:
            page.goto(address + path)
        # The last page breaks the policy, so that the endpoint is seen to hear.
        page.evaluate("document.body.setAttribute('style', 'color: red')")
        assert "style-src-attr" in reports.get(timeout=30)
        assert reports.empty()
        page.close()


@contextmanager
def hearing_reports(behind: str) -> "Iterator[tuple[str, Queue[str]]]":
    """Yield the address of a dashboard whose policy has an endpoint for reports, and what it hears."""
    reports: Queue[str] = Queue()

    class Relay(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_stream = self.path == "/live"
            answer = httpx.get(behind + ("/healthz" if is_stream else self.path))
            policy = answer.headers["Content-Security-Policy"]
            self.send_response(404 if is_stream else answer.status_code)
            self.send_header("Content-Type", answer.headers["Content-Type"])
            self.send_header("Content-Security-Policy", f"{policy}; report-uri /reports")
            self.end_headers()
            self.wfile.write(answer.content)

        def do_POST(self) -> None:
            reports.put(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Relay)
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", reports
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@needs_browser
def test_axe_finds_nothing_on_any_screen(busy: Site, browser: "Browser") -> None:
    from axe_playwright_python.sync_playwright import Axe

    axe = Axe()
    with dashboard(busy) as (address, _):
        page = browser.new_page(color_scheme="dark")
        for path in PATHS:
            page.goto(address + path)
            page.evaluate(
                "document.querySelectorAll('details').forEach((each) => each.open = true)"
            )
            found = axe.run(page).response["violations"]
            assert [(each["id"], each["nodes"][0]["html"]) for each in found] == [], path
        page.close()


@needs_browser
def test_times_are_in_the_zone_of_the_viewer_with_utc_on_hover(
    busy: Site, browser: "Browser"
) -> None:
    with dashboard(busy) as (address, _):
        page = browser.new_page(timezone_id="Asia/Kathmandu", locale="en-GB")
        visit(page, f"{address}/history")
        moment = page.locator("tbody time").first
        written, shown = moment.get_attribute("datetime"), moment.inner_text()
        hover = moment.get_attribute("title")
        page.close()
        without = browser.new_page(java_script_enabled=False)
        without.goto(f"{address}/history")
        in_utc = without.locator("tbody time").first.inner_text()
        without.close()

    assert hover == in_utc == written
    assert shown != written
    # Kathmandu is five hours and three quarters ahead.
    assert written is not None
    minute = (int(written[14:16]) + 45) % 60
    assert f":{minute:02}:" in shown


@needs_browser
@pytest.mark.parametrize(
    ("zone", "day", "repeated"),
    [
        ("Europe/Berlin", "2026-10-24T18:00:00Z", True),
        ("Europe/Berlin", "2026-03-28T18:00:00Z", True),
        ("Asia/Kathmandu", "2026-03-28T18:00:00Z", False),
    ],
)
def test_an_axis_over_a_change_of_the_clocks_has_no_label_twice(
    browser: "Browser", zone: str, day: str, *, repeated: bool
) -> None:
    begin = datetime.fromisoformat(day)
    chart = jobs_chart(JobSeries("new", "old", begin, begin + timedelta(hours=14), ()))
    page = browser.new_page(timezone_id=zone)
    page.set_content(str(chart))
    script = PROJECT / "reconciler" / "dashboard" / "static" / "times.js"
    page.add_script_tag(content=script.read_text("utf-8"))
    labels = page.locator("text.tick[data-time]").all_text_contents()
    page.close()

    assert len(labels) == 8
    assert len(set(labels)) == 8
    assert all("GMT" in label for label in labels) is repeated


@needs_browser
def test_a_person_stops_a_feature_without_scripts(busy: Site, browser: "Browser") -> None:
    busy.commit("Two features")
    busy.push()
    busy.database.execute("UPDATE rollout_configuration SET is_active = true")
    with dashboard(busy) as (address, _):
        page = browser.new_context(java_script_enabled=False).new_page()
        visit(page, f"{address}/features/other")
        page.get_by_role("link", name="Stop", exact=True).click()
        page.get_by_label("Reason").fill("jobs hang")
        page.get_by_role("button", name="Stop other").click()
        assert page.get_by_role("status").inner_text().startswith("Done: 5 → 0 percent")
        page.get_by_role("link", name="Back to other").click()
        assert "jobs hang" in page.inner_text("main")
    stopped = "SELECT emergency_stop FROM rollout_configuration WHERE feature_name = 'other'"
    assert busy.database.value(stopped)
    assert "reason: jobs hang" in busy.remote_text()


@needs_browser
def test_a_page_can_be_used_by_keyboard_alone(busy: Site, browser: "Browser") -> None:
    with dashboard(busy) as (address, _):
        page = browser.new_page()
        visit(page, address)
        page.keyboard.press("Tab")
        assert page.locator(":focus").inner_text() == "Skip to the content"
        page.goto(f"{address}/repositories")
        page.locator("#q").focus()
        page.keyboard.type("acme/tools")
        page.keyboard.press("Enter")
        page.wait_for_url("**/repositories?q=acme*")
        assert "environment_stop" in page.locator("main").inner_text()
        page.close()


@needs_browser
def test_repositories_are_found_as_a_person_types_and_no_old_answer_wins(
    busy: Site, browser: "Browser"
) -> None:
    with dashboard(busy) as (address, _):
        page = browser.new_page()
        visit(page, f"{address}/repositories")
        # This question gets no answer before the next one.
        page.route("**/found?q=first&**", lambda _: None)
        with page.expect_request("**/found?q=first&**"):
            page.locator("#q").fill("first")
        with page.expect_event("requestfailed", timeout=10_000) as ended:
            page.locator("#q").fill("acme/")
        page.locator("#found a").nth(1).wait_for()
        names = page.locator("#found a").all_text_contents()
        page.close()

    assert "q=first" in ended.value.url
    assert names == ["acme/tools", f"acme/{'tools' * 15}"]


@needs_browser
def test_a_screen_without_a_repository_that_matches_says_so_while_typing(
    busy: Site, browser: "Browser"
) -> None:
    with dashboard(busy) as (address, _):
        page = browser.new_page()
        visit(page, f"{address}/repositories")
        page.locator("#q").fill("<b>nothing</b>")
        page.get_by_text("No repository begins with this text.").wait_for()
        page.close()


def with_a_token(site: Site) -> tuple[str, tuple[str, ...]]:
    """Write a file with the token of an operator; return the token and the arguments for it."""
    apply_roles(OpenedDatabase.at(site.database.address))
    token, path = "t" * 32, site.folder / "tokens"
    path.touch(mode=0o600)
    path.write_text(f"operator otto {token}\n")
    return token, ("--auth", "token", "--token-file", str(path))


@needs_browser
def test_axe_and_the_width_are_right_on_the_page_to_sign_in(busy: Site, browser: "Browser") -> None:
    from axe_playwright_python.sync_playwright import Axe

    _, arguments = with_a_token(busy)
    with dashboard(busy, *arguments) as (address, _):
        for width, mode in ((390, "dark"), (1280, "light")):
            size = {"width": width, "height": 900}
            page = browser.new_page(viewport=size, color_scheme=mode)  # type: ignore[arg-type]
            assert visit(page, f"{address}/login") == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert Axe().run(page).response["violations"] == []
            page.get_by_label("Your token").fill("wrong")
            page.get_by_role("button", name="Sign in").click()
            page.get_by_role("alert").wait_for()
            assert Axe().run(page).response["violations"] == []
            page.close()


@needs_browser
def test_a_person_of_a_proxy_acts_by_group(busy: Site, browser: "Browser") -> None:
    apply_roles(OpenedDatabase.at(busy.database.address))
    busy.database.execute("UPDATE rollout_configuration SET is_active = true")
    arguments = ("--trusted-proxy", "127.0.0.0/8", "--operators", "on-call", "--viewers", "staff")
    with dashboard(busy, "--auth", "proxy", *arguments) as (address, _):
        nobody, vera, olga = (
            browser.new_context(extra_http_headers=headers).new_page()
            for headers in (
                {},
                {"X-Forwarded-User": "vera", "X-Forwarded-Groups": "staff"},
                {"X-Forwarded-User": "olga", "X-Forwarded-Groups": "staff, on-call"},
            )
        )
        refused = nobody.goto(f"{address}/features/other")
        visit(vera, f"{address}/features/other")
        hidden = vera.get_by_role("link", name="Stop", exact=True).count()
        visit(olga, f"{address}/features/other")
        olga.get_by_role("link", name="Stop", exact=True).click()
        olga.get_by_label("Reason").fill("jobs hang")
        olga.get_by_role("button", name="Stop other").click()
        done = olga.get_by_role("status").inner_text()

    assert refused is not None
    assert refused.status == 403
    assert hidden == 0
    assert done.startswith("Done: 5 → 0 percent")
    by = "SELECT triggered_by FROM rollout_override ORDER BY created_at DESC LIMIT 1"
    assert busy.database.value(by) == "olga"


@needs_browser
def test_a_person_of_a_provider_signs_in_and_acts(busy: Site, browser: "Browser") -> None:
    apply_roles(OpenedDatabase.at(busy.database.address))
    busy.database.execute("UPDATE rollout_configuration SET is_active = true")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    with (
        running_provider() as provider,
        dashboard(
            busy,
            *("--listen", address, "--public-url", f"http://{address}", "--auth", "oidc"),
            *("--oidc-issuer", provider.issuer, "--oidc-client-id", CLIENT),
            *("--operators", "on-call", "--viewers", "staff"),
            environment={CLIENT_SECRET_VARIABLE: SECRET},
        ) as (url, _),
    ):
        page = browser.new_context(java_script_enabled=False).new_page()
        page.goto(f"{url}/features/other/stop")
        page.get_by_label("Reason").fill("jobs hang")
        page.get_by_role("button", name="Stop other").click()
        done = page.get_by_role("status").inner_text()

    assert done.startswith("Done: 5 → 0 percent")
    by = "SELECT triggered_by FROM rollout_override ORDER BY created_at DESC LIMIT 1"
    assert busy.database.value(by) == "olga@example.com"


@needs_browser
def test_a_person_signs_in_acts_and_signs_out_without_scripts(
    busy: Site, browser: "Browser"
) -> None:
    token, arguments = with_a_token(busy)
    busy.database.execute("UPDATE rollout_configuration SET is_active = true")
    with dashboard(busy, *arguments) as (address, _):
        page = browser.new_context(java_script_enabled=False).new_page()
        visit(page, f"{address}/features/other/stop")
        page.get_by_label("Your token").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        assert page.get_by_role("alert").inner_text().startswith("No line of the token file")
        visit(page, f"{address}/features/other/stop")
        page.get_by_label("Your token").fill(token)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_label("Reason").fill("jobs hang")
        page.get_by_role("button", name="Stop other").click()
        assert page.get_by_role("status").inner_text().startswith("Done: 5 → 0 percent")
        page.get_by_role("button", name="Sign out otto").click()
        assert page.get_by_label("Your token").is_visible()
    by = "SELECT triggered_by FROM rollout_override ORDER BY created_at DESC LIMIT 1"
    assert busy.database.value(by) == "otto"


def answer_to_a_stop(address: str, feature: str) -> str:
    """Stop a feature as a form does; return the text of the answer."""
    with httpx.Client(base_url=address, timeout=30) as client:
        path = f"/features/{feature}/stop"
        hidden = re.findall(r'name="(csrf|version)" value="([^"]*)"', client.get(path).text)
        answer = client.post(path, data={**dict(hidden), "reason": "jobs hang"})
    assert answer.status_code == 200
    return answer.text


def test_an_answer_says_why_git_does_not_have_the_act(site: Site) -> None:
    site.write(rollout_file({"first": {"percentage": 5}, "second": {"percentage": 5}}))
    site.reconcile("--yes")
    with dashboard(site, "--no-write-back") as (address, _):
        without = answer_to_a_stop(address, "first")
    site.git("remote", "set-url", "origin", "/nowhere/at/all")
    with dashboard(site) as (address, _):
        away = answer_to_a_stop(address, "second")

    sentence = "not written to git, as --no-write-back asks; to write it: reconcile write-back"
    assert sentence in without
    assert "not in git yet: " in away
    # A sentence for each override that git does not have, and one for the reason.
    sentences = re.findall(r'<li class="long">(.*?)</li>', away)
    assert [each.partition(" ")[0] for each in sentences] == ["first:", "second:", "not"]
    assert "the override stays in force; to try again: reconcile write-back" in away
    assert site.database.value("SELECT bool_and(emergency_stop) FROM rollout_configuration")


@needs_browser
def test_two_clicks_on_a_button_are_one_act(busy: Site, browser: "Browser") -> None:
    busy.database.execute("UPDATE rollout_configuration SET is_active = true")
    with dashboard(busy, "--no-write-back") as (address, _):
        page = browser.new_page()
        visit(page, f"{address}/features/other/stop")
        page.get_by_label("Reason").fill("jobs hang")
        page.get_by_role("button", name="Stop other").dblclick()
        page.get_by_role("status").wait_for()
        said = page.get_by_role("status").inner_text()
        page.go_back()
        # The browser keeps no page: the form does not come back as it was.
        page.get_by_text("Nothing would change. A limit is in force already").wait_for()
        page.close()

    assert said.startswith("Done")
    acts = "SELECT count(*) FROM rollout_history WHERE reason = 'jobs hang'"
    assert busy.database.value(acts) == 1


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--auth", "token"), "--auth token needs --token-file"),
        (("--auth", "proxy"), "--auth proxy needs --trusted-proxy"),
        (("--auth", "proxy", "--trusted-proxy", "10.0.0.1/8"), "write one as 10.1.0.0/16"),
        (("--auth", "proxy", "--trusted-proxy", "10.0.0.1"), "needs the groups with a role"),
        (("--auth", "oidc"), "--auth oidc needs --oidc-issuer"),
        (("--token-file", "tokens"), "--token-file belongs to --auth token"),
        (("--operators", "a"), "--operators belongs to --auth proxy or --auth oidc"),
        (("--public-url", "rollout.example"), "is not such as https://rollout.example.com"),
        (("--secret-file", "rollout.yaml"), "other accounts can read it"),
    ],
)
def test_a_sign_in_that_cannot_work_is_an_error_of_the_setup(
    site: Site, arguments: tuple[str, ...], problem: str
) -> None:
    refused = site.reconcile("dashboard", "--listen", "0.0.0.0:0", *arguments)
    assert refused.exit_code in {1, 64}
    assert problem in refused.stderr


def test_a_signal_ends_it_and_another_address_than_loopback_is_refused(site: Site) -> None:
    refused = site.reconcile("dashboard", "--listen", "0.0.0.0:0")
    with dashboard(site) as (_, process):
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=20)

    assert code == 0
    assert refused.exit_code == 1
    assert "the dashboard has no sign-in" in refused.stderr
