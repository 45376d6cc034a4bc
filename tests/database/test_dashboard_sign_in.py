"""Signing in to the dashboard: who is let through, who may act, and what a forger gets."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import psycopg
import pytest

from reconciler.dashboard.sign_in.attempts import MOST_FAILURES
from reconciler.dashboard.sign_in.people import RolesOfGroups
from reconciler.dashboard.sign_in.proxy import ProxySignIn, parse_network
from reconciler.dashboard.sign_in.signer import Signer
from reconciler.dashboard.sign_in.tokens import TokenSignIn
from reconciler.database.connection import Rights
from reconciler.database.roles import apply_roles
from reconciler.database.transactions import Database as OpenedDatabase
from reconciler.errors import SetupInvalid
from tests.eventually import eventually
from tests.postgres import Database
from tests.screens import Browser

HIDDEN = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)">')
VIEWER, OPERATOR = "v" * 24, "o" * 24
SIGNER = Signer(b"a secret of thirty-two bytes or so")
PAGE = {"Accept": "text/html"}
STOP = "/features/f/stop"
LOGIN = "dashboard_login"


@pytest.fixture
def live(database: Database) -> Database:
    """A database with one feature and one repository."""
    database.execute(
        "INSERT INTO repositories (id, owner, name, full_name) VALUES"
        " (gen_random_uuid(), 'a', 'x', 'a/x');"
        "INSERT INTO rollout_configuration (feature_name, rollout_percentage) VALUES ('f', 100)"
    )
    return database


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    write(path, f"# people\nviewer vera {VIEWER}\n\noperator otto {OPERATOR}\n")
    return path


def write(path: Path, text: str, mode: int = 0o600) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
    path.chmod(mode)


def with_tokens(live: Database, path: Path, *, seconds: float = 60) -> Browser:
    return Browser.acting(live, sign_in=TokenSignIn(path, SIGNER, session_seconds=seconds))


def cookies(*answers: httpx.Response) -> dict[str, str]:
    """Return the header with the cookies that answers set, as a browser sends it."""
    found = {}
    for answer in answers:
        for cookie in answer.headers.get_list("set-cookie"):
            name, _, value = cookie.partition(";")[0].partition("=")
            found[name] = value
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in found.items())}


def signed_in(browser: Browser, token: str) -> dict[str, str]:
    """Sign in on the page; return the headers of the session."""
    page = browser.get("/login", {"next": "/waiting"})
    form = {**dict(HIDDEN.findall(page.text)), "token": token}
    answer = browser.get("/login", method="POST", form=form, headers=cookies(page))
    assert (answer.status_code, answer.headers["location"]) == (303, "/waiting"), answer.text
    cookie = next(
        each
        for each in answer.headers.get_list("set-cookie")
        if each.startswith("rollout_session=")
    )
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    return cookies(page, answer)


def is_stopped(database: Database) -> bool:
    return bool(database.value("SELECT emergency_stop FROM rollout_configuration"))


def test_a_page_leads_to_the_sign_in_and_a_script_gets_a_status(
    live: Database, tokens: Path
) -> None:
    browser = with_tokens(live, tokens)

    page = browser.get("/history", {"by": "ada"}, headers=PAGE)
    assert (page.status_code, page.headers["location"]) == (
        303,
        "/login?next=%2Fhistory%3Fby%3Dada",
    )
    assert browser.get("/api/now").status_code == 401
    assert browser.get(STOP, method="POST", form={"reason": "x"}).status_code == 401
    assert browser.get("/healthz").status_code == 200
    assert browser.get("/static/page.css").status_code == 200


def test_an_operator_signs_in_and_stops_with_the_name_of_the_token(
    live: Database, tokens: Path
) -> None:
    browser = with_tokens(live, tokens)
    session = signed_in(browser, OPERATOR)

    page = browser.get(STOP, headers=session)
    form = {**dict(HIDDEN.findall(page.text)), "reason": "errors"}
    done = browser.get(STOP, method="POST", form=form, headers=session)

    assert done.status_code == 200, done.text
    (row,) = live.rows("SELECT triggered_by, metadata ->> 'via' AS via FROM rollout_history")
    assert row == {"triggered_by": "otto", "via": "dashboard"}


def test_a_viewer_sees_no_button_and_cannot_act(live: Database, tokens: Path) -> None:
    browser = with_tokens(live, tokens)
    session = signed_in(browser, VIEWER)
    page = browser.get("/features/f", headers=session)
    form = dict(HIDDEN.findall(page.text))

    refused = browser.get(STOP, method="POST", form={**form, "reason": "x"}, headers=session)

    assert page.status_code == 200
    assert STOP not in page.text + browser.get("/", headers=session).text
    assert browser.get(STOP, headers=session).status_code == 403
    assert (refused.status_code, is_stopped(live)) == (403, False)


def test_a_live_page_of_a_viewer_has_no_button_of_an_operator(live: Database, tokens: Path) -> None:
    browser = with_tokens(live, tokens)
    pages = [
        browser.get(
            "/features/f", headers={"Authorization": f"Bearer {token}", "X-Fragment": "main"}
        ).text
        for token in (OPERATOR, VIEWER, OPERATOR)
    ]

    assert [STOP in page for page in pages] == [True, False, True]
    assert "<html" not in pages[0]


def test_a_wrong_token_is_refused_and_an_address_has_to_wait(live: Database, tokens: Path) -> None:
    browser = with_tokens(live, tokens)
    page = browser.get("/login")
    form = {**dict(HIDDEN.findall(page.text)), "token": "wrong"}

    def attempt(sender: str) -> int:
        headers = cookies(page)
        return browser.get(
            "/login", method="POST", form=form, headers=headers, sender=sender
        ).status_code

    answers = [attempt("192.0.2.1") for _ in range(MOST_FAILURES + 1)]
    bearer = {"Authorization": f"Bearer {OPERATOR}"}

    assert answers == [401] * MOST_FAILURES + [429]
    assert browser.get("/api/now", headers=bearer, sender="192.0.2.1").status_code == 429
    assert browser.get("/api/now", headers=bearer, sender="192.0.2.2").status_code == 200


def test_a_script_acts_with_its_token_and_without_a_form(live: Database, tokens: Path) -> None:
    browser = with_tokens(live, tokens)
    wrong, viewer, operator = (
        browser.get(
            STOP,
            method="POST",
            form={"reason": "x"},
            headers={"Authorization": f"Bearer {token}"},
        ).status_code
        for token in ("guessed", VIEWER, OPERATOR)
    )

    assert (wrong, viewer, operator) == (401, 403, 200)
    assert is_stopped(live)


def test_an_expired_or_forged_session_is_none(live: Database, tokens: Path) -> None:
    expired = with_tokens(live, tokens, seconds=-1)
    session = signed_in(expired, OPERATOR)
    assert expired.get("/api/now", headers=session).status_code == 401

    browser = with_tokens(live, tokens)
    good = signed_in(browser, OPERATOR)
    other = Browser.acting(live, sign_in=TokenSignIn(tokens, Signer.random()))
    assert browser.get("/api/now", headers=good).status_code == 200
    assert other.get("/api/now", headers=good).status_code == 401
    for cookie in ("", ".", "e30=.0", "ü.ü", "x" * 10_000):
        headers = [(b"cookie", f"rollout_session={cookie}".encode())]
        assert browser.get("/api/now", headers=httpx.Headers(headers)).status_code == 401


def test_a_session_counts_on_every_replica_with_the_same_secret(
    live: Database, tokens: Path, tmp_path: Path
) -> None:
    write(tmp_path / "secret", "0123456789abcdef0123456789abcdef\n")
    replicas = [
        Browser.acting(live, sign_in=TokenSignIn(tokens, signer), signer=signer)
        for signer in (Signer.of_file(tmp_path / "secret"), Signer.of_file(tmp_path / "secret"))
    ]
    session = signed_in(replicas[0], OPERATOR)
    page = replicas[0].get(STOP, headers=session)
    form = {**dict(HIDDEN.findall(page.text)), "reason": "errors"}

    assert replicas[1].get(STOP, method="POST", form=form, headers=session).status_code == 200


def test_a_session_ends_with_its_token_and_with_a_sign_out(live: Database, tokens: Path) -> None:
    browser = with_tokens(live, tokens)
    session = signed_in(browser, OPERATOR)
    page = browser.get("/", headers=session)
    form = dict(HIDDEN.findall(page.text))

    assert browser.get("/logout", method="POST", form={}, headers=session).status_code == 403
    out = browser.get("/logout", method="POST", form=form, headers=session)
    assert 'rollout_session=""; ' in out.headers["set-cookie"]
    write(tokens, f"viewer otto {OPERATOR}\n")
    eventually(lambda: "/features/f/stop" not in browser.get("/", headers=session).text)
    write(tokens, f"operator new {'n' * 24}\n")
    eventually(lambda: browser.get("/api/now", headers=session).status_code == 401)


@pytest.mark.parametrize("forgery", ["no proof", "the proof of another", "another origin"])
def test_a_form_of_another_site_does_not_act(live: Database, tokens: Path, forgery: str) -> None:
    browser = with_tokens(live, tokens)
    session = signed_in(browser, OPERATOR)
    fields = dict(HIDDEN.findall(browser.get(STOP, headers=session).text))
    form, headers = {**fields, "reason": "x"}, dict(session)
    match forgery:
        case "no proof":
            del form["csrf"]
        case "the proof of another":
            # A neighbouring site can set cookies: a viewer's own proof with it does not count.
            theirs = signed_in(browser, VIEWER)
            form["csrf"] = dict(HIDDEN.findall(browser.get("/", headers=theirs).text))["csrf"]
            own = [each for each in session["Cookie"].split("; ") if "session=" in each]
            other = [each for each in theirs["Cookie"].split("; ") if "form=" in each]
            headers["Cookie"] = "; ".join([*own, *other])
        case _:
            headers["Origin"] = "https://evil.example"

    refused = browser.get(STOP, method="POST", form=form, headers=headers)

    assert (refused.status_code, is_stopped(live)) == (403, False)


@pytest.mark.parametrize(
    ("next_page", "location"),
    [
        ("/waiting?a=b", "/waiting?a=b"),
        ("https://evil.example/", "/"),
        ("//evil.example/", "/"),
        ("/\\evil.example/", "/"),
        ("/\t/evil.example", "/"),
        ("javascript:alert(1)", "/"),
    ],
)
def test_the_sign_in_leads_to_pages_of_this_dashboard_only(
    live: Database, tokens: Path, next_page: str, location: str
) -> None:
    browser = with_tokens(live, tokens)
    page = browser.get("/login")
    form = {**dict(HIDDEN.findall(page.text)), "token": OPERATOR, "next": next_page}
    answer = browser.get("/login", method="POST", form=form, headers=cookies(page))
    assert answer.headers["location"] == location


@pytest.mark.parametrize(
    "cookie", ["x", ".", "a.b", "=.=", "%00.%00", "[]", "%C3%A9.x", "A" * 9_000]
)
def test_a_broken_cookie_is_no_session_and_no_fault(
    live: Database, tokens: Path, cookie: str
) -> None:
    browser = with_tokens(live, tokens)
    session = signed_in(browser, OPERATOR)
    names = re.findall(r"(\w+)=", session["Cookie"])
    broken = "; ".join(f"{name}={cookie}" for name in names)

    asked = browser.get("/repositories?q=a/x&at=1", headers={**PAGE, "Cookie": broken})

    assert asked.status_code == 303
    assert asked.headers["Location"] == "/login?next=%2Frepositories%3Fq%3Da%2Fx%26at%3D1"
    assert browser.get("/login", headers={"Cookie": broken}).status_code == 200


def test_a_form_of_an_ended_session_leads_to_the_sign_in_and_back(
    live: Database, tokens: Path
) -> None:
    browser = with_tokens(live, tokens)
    form = {"reason": "x"}

    asked = browser.get(STOP, method="POST", form=form, headers=PAGE)
    script = browser.get(STOP, method="POST", form=form)
    signing_out = browser.get("/logout", method="POST", headers=PAGE)

    assert (asked.status_code, asked.headers["Location"]) == (
        303,
        "/login?next=%2Ffeatures%2Ff%2Fstop",
    )
    # These have no page to come back to.
    assert (script.status_code, signing_out.status_code) == (401, 401)
    assert not is_stopped(live)


def test_a_link_of_another_site_opens_the_page_once_more_with_the_session(
    live: Database, tokens: Path
) -> None:
    headers = {**PAGE, "Sec-Fetch-Site": "cross-site"}
    page = with_tokens(live, tokens).get("/features/f", {"x": '"><b>'}, headers=headers)
    assert page.status_code == 200
    assert 'content="0; url=/features/f?x=%22%3E%3Cb%3E"' in page.text


def test_behind_tls_the_cookies_are_secure(live: Database, tokens: Path) -> None:
    page = with_tokens(live, tokens).get("/login", headers={"X-Forwarded-Proto": "https"})
    assert "; Secure" in page.headers["set-cookie"]


@pytest.mark.parametrize(
    ("content", "mode", "problem"),
    [
        (f"operator otto {OPERATOR}\n", 0o640, "other accounts can read it"),
        (f"operator otto {OPERATOR}\n", 0o604, "other accounts can read it"),
        ("operator otto short\n", 0o600, ":1: the token of otto has fewer than 20 characters"),
        (f"admin otto {OPERATOR}\n", 0o600, ":1: write role name token"),
        (f"operator {OPERATOR}\n", 0o600, ":1: write role name token"),
        (f"viewer a {VIEWER}\nviewer b {VIEWER}\n", 0o600, ":2: two lines have the same token"),
        ("\n# nothing\n", 0o600, "write 1 to 1000 lines"),
    ],
)
def test_a_token_file_that_cannot_be_right_is_refused(
    tmp_path: Path, content: str, mode: int, problem: str
) -> None:
    write(tmp_path / "tokens", content, mode)
    with pytest.raises(SetupInvalid, match=re.escape(problem)) as error:
        TokenSignIn(tmp_path / "tokens", SIGNER)
    assert OPERATOR not in str(error.value)


def behind_proxy(live: Database) -> Browser:
    roles = RolesOfGroups(operators=["on-call"], viewers=["staff"])
    networks = [parse_network("10.1.0.0/16"), parse_network("2001:db8::/32")]
    return Browser.acting(live, sign_in=ProxySignIn(networks, roles))


HEADERS = {"X-Forwarded-User": "olga", "X-Forwarded-Groups": "staff, on-call"}


@pytest.mark.parametrize(
    ("sender", "headers", "status"),
    [
        ("10.1.2.3", HEADERS, 200),
        ("::ffff:10.1.2.3", HEADERS, 200),
        ("2001:db8::7", HEADERS, 200),
        ("10.2.0.1", HEADERS, 401),
        ("127.0.0.1", HEADERS, 401),
        ("10.1.2.3", {}, 403),
        ("10.1.2.3", {"X-Forwarded-User": "olga"}, 403),
        ("10.1.2.3", {"X-Forwarded-User": "olga", "X-Forwarded-Groups": "guests"}, 403),
        ("10.1.2.3", {"X-Forwarded-User": " ", "X-Forwarded-Groups": "staff"}, 403),
    ],
)
def test_headers_are_believed_from_the_proxy_alone(
    live: Database, sender: str, headers: Mapping[str, str], status: int
) -> None:
    assert behind_proxy(live).get("/api/now", headers=headers, sender=sender).status_code == status


def test_a_header_beside_that_of_the_proxy_is_refused(live: Database) -> None:
    for name, forged in (("X-Forwarded-User", "root"), ("X-Forwarded-Groups", "on-call")):
        headers = httpx.Headers([*HEADERS.items(), (name, forged)])
        answer = behind_proxy(live).get("/api/now", headers=headers, sender="10.1.2.3")
        assert answer.status_code == 403


def test_a_person_of_the_proxy_acts_by_group(live: Database) -> None:
    browser = behind_proxy(live)
    viewer = {"X-Forwarded-User": "vera", "X-Forwarded-Groups": "staff"}
    for headers, status in ((viewer, 403), (HEADERS, 200)):
        page = browser.get(STOP, headers=headers, sender="10.1.2.3")
        form = {**dict(HIDDEN.findall(page.text)), "reason": "errors"}
        sent = {**headers, **cookies(page)}
        done = browser.get(STOP, method="POST", form=form, headers=sent, sender="10.1.2.3")
        assert done.status_code == status
    assert live.value("SELECT triggered_by FROM rollout_history") == "olga"


@pytest.fixture
def login(live: Database) -> Iterator[Database]:
    """The database for an account that may become the two roles, and has no rights of its own."""
    apply_roles(OpenedDatabase.at(live.address))
    name = f"{LOGIN}_{os.urandom(4).hex()}"
    live.execute(
        f"CREATE ROLE {name} LOGIN NOINHERIT PASSWORD '{name}';"
        f"GRANT rollout_reader, rollout_safeguard TO {name}"
    )
    yield Database(psycopg.conninfo.make_conninfo(live.url, user=name, password=name))
    live.execute(f"DROP ROLE {name}")


def test_pages_read_as_reader_and_acts_write_as_safeguard(
    login: Database, live: Database, tokens: Path
) -> None:
    browser = Browser.acting(
        login,
        sign_in=TokenSignIn(tokens, SIGNER),
        viewing=Rights("rollout_reader", 5),
        acting_with=Rights("rollout_safeguard"),
    )
    viewer = {"Authorization": f"Bearer {VIEWER}"}
    operator = {"Authorization": f"Bearer {OPERATOR}"}

    for path in ("/", "/features/f", "/repositories?q=a/x", "/waiting", "/history", "/machinery"):
        assert browser.get(path, headers=viewer).status_code == 200, path
    assert "This could not be read" not in browser.get("/waiting", headers=viewer).text
    done = browser.get(STOP, method="POST", form={"reason": "x"}, headers=operator)
    assert (done.status_code, is_stopped(live)) == (200, True)
    # Without the role an act is refused by the database, whatever the page has.
    only_reads = Browser.acting(
        login, sign_in=TokenSignIn(tokens, SIGNER), acting_with=Rights("rollout_reader")
    )
    resume = "/features/f/resume"
    refused = only_reads.get(resume, method="POST", form={"reason": "x"}, headers=operator)
    assert refused.status_code == 503
    assert "permission denied" in refused.text
    assert is_stopped(live)
