"""Signing in with OpenID Connect, at a provider with a socket."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest
from joserfc.jwk import OctKey, RSAKey

from reconciler.dashboard.sign_in.oidc import OidcSignIn
from reconciler.dashboard.sign_in.people import RolesOfGroups
from reconciler.dashboard.sign_in.provider import Provider
from reconciler.dashboard.sign_in.signer import Signer
from reconciler.errors import SetupInvalid
from tests.database.test_dashboard_sign_in import HIDDEN, PAGE, STOP, cookies
from tests.oidc_provider import CLIENT, SECRET, OidcProvider, running_provider
from tests.postgres import Database
from tests.screens import Browser

SIGNER = Signer.random()


@pytest.fixture
def provider() -> Iterator[OidcProvider]:
    with running_provider() as started:
        yield started


def browser_of(
    database: Database, provider: OidcProvider, *, secret: str = SECRET, issuer: str = ""
) -> Browser:
    client = Provider(issuer or provider.issuer, CLIENT, secret, "http://127.0.0.1/oidc/callback")
    roles = RolesOfGroups(operators=["on-call"], viewers=["staff"])
    return Browser.acting(database, sign_in=OidcSignIn(client, roles, SIGNER))


def answer_of_provider(browser: Browser) -> tuple[httpx.Response, Mapping[str, str]]:
    """Go to the provider; return the first answer, and the parameters with which it sends back."""
    page = browser.get("/features/f", headers=PAGE)
    assert page.status_code == 303
    begun = browser.get(page.headers["location"])
    assert "SameSite=lax" in begun.headers["set-cookie"]
    sent_back = httpx.get(begun.headers["location"])
    return begun, dict(httpx.URL(sent_back.headers["location"]).params)


def signed_in(browser: Browser) -> httpx.Response:
    begun, answer = answer_of_provider(browser)
    return browser.get("/oidc/callback", answer, headers=cookies(begun))


def test_a_person_signs_in_and_acts_by_group(database: Database, provider: OidcProvider) -> None:
    database.execute(
        "INSERT INTO rollout_configuration (feature_name, rollout_percentage) VALUES ('f', 100)"
    )
    browser = browser_of(database, provider)
    page = signed_in(browser)
    session = cookies(page)
    act = browser.get(STOP, headers=session)
    form = {**dict(HIDDEN.findall(act.text)), "reason": "errors"}
    headers = {"Cookie": "; ".join([session["Cookie"], cookies(act)["Cookie"]])}

    done = browser.get(STOP, method="POST", form=form, headers=headers)

    assert 'content="0; url=/features/f"' in page.text
    assert done.status_code == 200, done.text
    assert database.value("SELECT triggered_by FROM rollout_history") == "olga@example.com"


@pytest.mark.parametrize(
    ("claims", "more", "status"),
    [
        ({"groups": ["staff"]}, {}, 200),
        ({"groups": "staff"}, {}, 200),
        ({"groups": None}, {"groups": ["staff"]}, 200),
        ({"groups": None}, {"groups": ["staff"], "sub": "8"}, 403),
        ({"groups": ["guests"]}, {}, 403),
        ({"groups": None}, {}, 403),
        ({"aud": "another"}, {}, 403),
        ({"aud": [CLIENT, "another"], "azp": "another"}, {}, 403),
        ({"iss": "https://evil.example"}, {}, 403),
        ({"nonce": "another"}, {}, 403),
        ({"nonce": None}, {}, 403),
        ({"exp": int(time.time()) - 600}, {}, 403),
        ({"exp": None}, {}, 403),
        ({"sub": None}, {}, 403),
    ],
)
def test_every_claim_of_the_token_is_checked(
    database: Database,
    provider: OidcProvider,
    claims: dict[str, Any],
    more: dict[str, Any],
    status: int,
) -> None:
    provider.claims, provider.more = claims, more
    page = signed_in(browser_of(database, provider))
    assert page.status_code == status, page.text
    assert ("rollout_session=" in page.headers.get("set-cookie", "")) is (status == 200)


@pytest.mark.parametrize("algorithm", ["RS256", "HS256", "none"])
def test_a_token_with_another_signature_is_refused(
    database: Database, provider: OidcProvider, algorithm: str
) -> None:
    provider.algorithm = algorithm
    provider.signing_key = (
        RSAKey.generate_key(2048, {"kid": "1"})
        if algorithm == "RS256"
        else OctKey.import_key(SECRET)
    )
    assert signed_in(browser_of(database, provider)).status_code == 403


def test_the_provider_may_change_its_keys(database: Database, provider: OidcProvider) -> None:
    browser = browser_of(database, provider)
    assert signed_in(browser).status_code == 200
    provider.key = RSAKey.generate_key(2048, {"kid": "1"})
    assert signed_in(browser).status_code == 200


def test_an_unverified_address_is_no_name(database: Database, provider: OidcProvider) -> None:
    provider.claims = {"email_verified": False}
    browser = browser_of(database, provider)
    page = browser.get("/", headers=cookies(signed_in(browser)))
    assert "Sign out 7</button>" in page.text


@pytest.mark.parametrize("forgery", ["no cookie", "state", "code", "error", "secret"])
def test_an_answer_that_this_browser_did_not_ask_for_is_refused(
    database: Database, provider: OidcProvider, forgery: str
) -> None:
    browser = browser_of(database, provider, secret="wrong" if forgery == "secret" else SECRET)
    begun, answer = answer_of_provider(browser)
    headers = {} if forgery == "no cookie" else cookies(begun)
    changes: Mapping[str, Mapping[str, str]] = {
        "state": {"state": "another"},
        "code": {"code": "another"},
    }
    answer = {**answer, **changes.get(forgery, {})}
    if forgery == "error":
        answer = {"error": "access_denied", "state": answer["state"]}

    page = browser.get("/oidc/callback", answer, headers=headers)

    assert page.status_code == 403, page.text
    assert "rollout_session" not in page.headers["set-cookie"]


def test_a_provider_that_is_away_is_a_sentence(database: Database, provider: OidcProvider) -> None:
    browser = browser_of(database, provider, issuer="http://127.0.0.1:9")
    page = browser.get("/oidc/begin")
    assert page.status_code == 503
    assert "the OpenID provider does not answer as it should" in page.text


def test_a_provider_without_tls_is_refused() -> None:
    with pytest.raises(SetupInvalid, match="write an address with https://"):
        Provider("http://login.example.com", CLIENT, None, "http://127.0.0.1/oidc/callback")
