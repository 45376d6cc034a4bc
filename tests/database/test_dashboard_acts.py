"""Stop, roll back and resume from the dashboard's pages: what they show, refuse and write."""

import re
from collections.abc import Mapping, Sequence

import httpx
import pytest

from reconciler.dashboard.sign_in.signer import Signer
from reconciler.database.connection import Rights
from reconciler.database.transactions import Database as OpenedDatabase
from reconciler.errors import NotFound
from tests.postgres import Database
from tests.screens import Browser

HIDDEN = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)">')


@pytest.fixture
def live(database: Database) -> Database:
    """A database with one feature, at 100 percent of two repositories."""
    database.execute(
        "INSERT INTO repositories (id, owner, name, full_name) VALUES"
        " (gen_random_uuid(), 'a', 'x', 'a/x'), (gen_random_uuid(), 'a', 'y', 'a/y');"
        "INSERT INTO rollout_configuration (feature_name, rollout_percentage) VALUES ('f', 100)"
    )
    return database


def opened(browser: Browser, path: str) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Open a page with a form; return the form's hidden fields, and the headers of its session."""
    page = browser.get(path)
    assert page.status_code == 200, page.text
    cookie = page.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    return dict(HIDDEN.findall(page.text)), {"Cookie": cookie.partition(";")[0]}


def sent(
    browser: Browser, path: str, form: Mapping[str, str], headers: Mapping[str, str]
) -> httpx.Response:
    return browser.get(path, method="POST", form=form, headers=headers)


def is_stopped(database: Database) -> bool:
    return bool(database.value("SELECT emergency_stop FROM rollout_configuration"))


def test_a_stop_shows_its_effect_and_is_written_with_its_author(live: Database) -> None:
    browser = Browser.acting(live, lambda _: ["f: override written to origin/main by 1234567"])
    page = browser.get("/features/f/stop")
    fields, session = opened(browser, "/features/f/stop")

    done = sent(browser, "/features/f/stop", {**fields, "reason": "jobs <b>hang</b>"}, session)

    assert "2 → 0</strong> of 2 repositories" in page.text
    assert done.status_code == 200
    assert "override written to origin/main by 1234567" in done.text
    assert is_stopped(live)
    (row,) = live.rows(
        "SELECT triggered_by, reason, metadata ->> 'via' AS via FROM rollout_history"
    )
    assert row == {"triggered_by": "ada", "reason": "jobs <b>hang</b>", "via": "dashboard"}
    shown = browser.get("/features/f")
    assert "jobs &lt;b&gt;hang&lt;/b&gt;" in shown.text
    assert 'href="/features/f/resume"' in shown.text


def names(page: str) -> Sequence[str]:
    return re.findall(r'<li class="name"><a href="/repositories\?q=[^"]+">([^<]+)</a>', page)


def test_the_page_of_an_act_names_who_loses_or_gains_the_feature(live: Database) -> None:
    browser = Browser.acting(live)
    stop = browser.get("/features/f/stop").text

    assert names(stop) == ["a/x", "a/y"]
    assert "A stop takes it from every repository" in stop
    assert 'href="/repositories?q=a%2Fx"' in stop
    assert "more. The most active ones are listed." not in stop
    assert "small: 2" in stop or "test: 2" in stop
    fields, session = opened(browser, "/features/f/stop")
    sent(browser, "/features/f/stop", {**fields, "reason": "errors"}, session)
    resume = browser.get("/features/f/resume").text
    assert names(resume) == ["a/x", "a/y"]
    assert "A resume removes the limit" in resume


def test_the_page_of_an_act_counts_the_repositories_that_it_does_not_name(live: Database) -> None:
    live.execute(
        "INSERT INTO repositories (id, owner, name, full_name)"
        " SELECT gen_random_uuid(), 'b', n::text, 'b/' || n FROM generate_series(1, 23) AS n"
    )
    page = Browser.acting(live).get("/features/f/stop").text

    assert len(names(page)) == 20
    assert "And 5 more. The most active ones are listed." in page


def test_an_act_that_moves_no_repository_names_none(live: Database) -> None:
    live.execute("DELETE FROM repositories")
    page = Browser.acting(live).get("/features/f/stop").text

    assert names(page) == []
    assert "<summary>The repositories</summary>" not in page


def test_an_act_whose_write_back_fails_is_shown_as_done(live: Database) -> None:
    def fail(_: OpenedDatabase) -> Sequence[str]:
        raise NotFound("there is no remote upstream")

    browser = Browser.acting(live, fail)
    fields, session = opened(browser, "/features/f/stop")

    done = sent(browser, "/features/f/stop", {**fields, "reason": "errors"}, session)

    assert (done.status_code, is_stopped(live)) == (200, True)
    assert "Done: 100 → 0 percent" in done.text
    assert "not in git yet: there is no remote upstream" in done.text


def test_a_rollback_asks_for_the_percentage_and_a_resume_ends_it(live: Database) -> None:
    browser = Browser.acting(live)
    assert 'name="to"' in browser.get("/features/f/rollback").text
    fields, session = opened(browser, "/features/f/rollback?to=12.5")
    sent(browser, "/features/f/rollback", {**fields, "reason": "errors"}, session)
    assert live.value("SELECT rollout_percentage::float FROM rollout_configuration") == 12.5

    fields, session = opened(browser, "/features/f/resume")
    done = sent(browser, "/features/f/resume", {**fields, "reason": "mended"}, session)

    assert done.status_code == 200
    assert live.value("SELECT rollout_percentage::float FROM rollout_configuration") == 100


def test_an_act_on_a_feature_that_moved_is_a_conflict(live: Database) -> None:
    browser = Browser.acting(live)
    fields, session = opened(browser, "/features/f/stop")
    live.execute("UPDATE rollout_configuration SET rollout_percentage = 40")

    refused = sent(browser, "/features/f/stop", {**fields, "reason": "errors"}, session)
    fields = dict(HIDDEN.findall(refused.text))
    again = sent(browser, "/features/f/stop", {**fields, "reason": "errors"}, session)

    assert refused.status_code == 409
    assert "f has changed since this page was read" in refused.text
    assert "40 → 0 percent" in refused.text
    assert 'value="errors"' in refused.text
    assert (again.status_code, is_stopped(live)) == (200, True)


@pytest.mark.parametrize("forgery", ["no cookie", "another cookie", "no proof", "another origin"])
def test_a_form_of_another_site_does_nothing(live: Database, forgery: str) -> None:
    browser = Browser.acting(live)
    fields, session = opened(browser, "/features/f/stop")
    form: dict[str, str] = {**fields, "reason": "errors"}
    headers = {**session, "Origin": "http://127.0.0.1"}
    match forgery:
        case "no cookie":
            del headers["Cookie"]
        case "another cookie":
            headers["Cookie"] = "rollout_form=guessed"
        case "no proof":
            form["csrf"] = "ü"
        case _:
            headers["Origin"] = "http://evil.example"

    refused = sent(browser, "/features/f/stop", form, headers)

    assert (refused.status_code, is_stopped(live)) == (403, False)


def test_a_form_from_before_a_restart_keeps_its_reason(
    live: Database,
) -> None:
    fields, session = opened(Browser.acting(live), "/features/f/rollback?to=50")
    restarted = Browser.acting(live)
    form = {**fields, "reason": "a long <reason>"}

    refused = sent(restarted, "/features/f/rollback", form, session)

    assert refused.status_code == 403
    assert live.value("SELECT rollout_percentage FROM rollout_configuration") == 100
    assert "it was started again" in refused.text
    assert 'value="a long &lt;reason&gt;"' in refused.text
    again = {**dict(HIDDEN.findall(refused.text)), "reason": "errors"}
    assert sent(restarted, "/features/f/rollback", again, session).status_code == 200
    assert live.value("SELECT rollout_percentage FROM rollout_configuration") == 50


def test_a_click_that_comes_twice_is_one_act_and_no_error(live: Database) -> None:
    browser = Browser.acting(live)
    fields, session = opened(browser, "/features/f/stop")
    form = {**fields, "reason": "errors"}

    first, second = (sent(browser, "/features/f/stop", form, session) for _ in range(2))

    assert (first.status_code, second.status_code) == (200, 200)
    assert "Done already: your limit is in force." in second.text
    assert 'role="alert"' not in second.text
    assert live.value("SELECT count(*) FROM rollout_history") == 1
    other = sent(browser, "/features/f/stop", {**form, "reason": "another"}, session)
    assert other.status_code == 409


@pytest.mark.parametrize("to", ["-1", "101", "ten", "NaN", "1.234", "1e999"])
def test_an_odd_percentage_is_refused(live: Database, to: str) -> None:
    page = Browser.acting(live).get("/features/f/rollback", {"to": to})
    assert page.status_code == 400
    assert "a number from 0 to 100" in page.text


def test_an_act_needs_a_reason_and_a_feature(live: Database) -> None:
    browser = Browser.acting(live)
    fields, session = opened(browser, "/features/f/stop")
    assert sent(browser, "/features/f/stop", {**fields, "reason": " "}, session).status_code == 400
    assert browser.get("/features/nothing/stop").status_code == 404
    long = {**fields, "reason": "x" * 20_000}
    assert sent(browser, "/features/f/stop", long, session).status_code == 413
    assert not is_stopped(live)


def test_without_the_right_to_act_there_are_no_acts(live: Database) -> None:
    browser = Browser.of(live)
    assert "/features/f/stop" not in browser.get("/").text
    assert browser.get("/features/f/stop").status_code == 404
    assert browser.get("/features/f/stop", method="POST").status_code in {404, 405}


def test_a_reason_that_is_too_long_is_refused_with_its_length(live: Database) -> None:
    browser = Browser.acting(live)
    fields, session = opened(browser, "/features/f/stop")

    refused = sent(browser, "/features/f/stop", {**fields, "reason": "x" * 1001}, session)

    assert (refused.status_code, is_stopped(live)) == (400, False)
    assert "the reason has 1,001 characters; write at most 1,000" in refused.text


def test_an_act_whose_effect_cannot_be_counted_took_place(live: Database) -> None:
    signer = Signer.random()
    fields, session = opened(Browser.acting(live, signer=signer), "/features/f/stop")
    blind = Browser.acting(live, signer=signer, viewing=Rights("a_role_that_is_gone"))

    done = sent(blind, "/features/f/stop", {**fields, "reason": "errors"}, session)

    assert (done.status_code, is_stopped(live)) == (200, True)
    assert "The act took place. The eligible repositories could not be counted" in done.text
    assert "nothing was written" not in done.text


def test_an_effect_that_takes_too_long_does_not_hold_up_the_act(live: Database) -> None:
    browser = Browser.acting(live, viewing=Rights(statement_seconds=1))
    with live.connect() as other:
        other.execute("LOCK TABLE repositories")
        page = browser.get("/features/f/stop")

    assert page.status_code == 200
    assert "could not be counted in time" in page.text
    assert "100 → 0 percent" in page.text
    assert ">Stop f</button>" in page.text


def test_now_has_every_act_that_changes_something(live: Database) -> None:
    browser = Browser.acting(live)
    acts = re.compile(r'href="/features/f/(\w+)"')
    assert acts.findall(browser.get("/").text) == ["stop", "rollback"]
    fields, session = opened(browser, "/features/f/rollback?to=50")
    sent(browser, "/features/f/rollback", {**fields, "reason": "errors"}, session)
    assert acts.findall(browser.get("/").text) == ["stop", "rollback", "resume"]
    fields, session = opened(browser, "/features/f/stop")
    sent(browser, "/features/f/stop", {**fields, "reason": "errors"}, session)
    assert acts.findall(browser.get("/").text) == ["resume"]
