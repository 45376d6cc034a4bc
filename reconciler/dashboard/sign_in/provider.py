"""An OpenID provider: where it is asked, and the claims of a person, with every check of their token."""

import secrets
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final
from urllib.parse import quote_plus

import httpx
from authlib.common.errors import AuthlibBaseError
from authlib.oauth2.client import OAuth2Client
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from reconciler.errors import Refused, SetupInvalid, Unavailable
from reconciler.listen_address import is_loopback

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA", "Ed25519")
"""Signatures with a public key: a token that is signed with a shared secret is refused."""
_TIMEOUT_SECONDS: Final = 5.0
_KEPT_SECONDS: Final = 3_600.0
_LEEWAY_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Started:
    """A sign-in that has begun."""

    url: str
    """Where the browser goes."""
    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True, slots=True)
class _Known:
    """What the provider says about itself."""

    configuration: Mapping[str, Any]
    keys: KeySet
    until: float


class Provider:
    """One provider, as this client."""

    def __init__(
        self, issuer: str, client_id: str, client_secret: str | None, redirect_uri: str
    ) -> None:
        """Note the provider; it is asked at the first sign-in.

        Raises:
            SetupInvalid: the address of the issuer does not use TLS.
        """
        url = httpx.URL(issuer)
        if url.scheme != "https" and not (url.scheme == "http" and is_loopback(url.host)):
            raise SetupInvalid(
                f"--oidc-issuer {issuer}: write an address with https://, such as "
                "https://login.example.com"
            )
        self._issuer = issuer
        self._client_id, self._client_secret = client_id, client_secret
        self._redirect_uri = redirect_uri
        self._known: _Known | None = None
        self._lock = Lock()

    def begin(self) -> Started:
        """Return where a person signs in.

        Raises:
            Unavailable: the provider does not answer.
        """
        configuration = self._ask().configuration
        state, nonce, verifier = (secrets.token_urlsafe(48) for _ in range(3))
        url, _ = self._client(None).create_authorization_url(
            configuration["authorization_endpoint"],
            state=state,
            nonce=nonce,
            code_verifier=verifier,
        )
        return Started(url, state, nonce, verifier)

    def finish(
        self, code: str, started: Started, *, wanted: Collection[str] = ()
    ) -> Mapping[str, Any]:
        """Return the claims of the person with this code.

        Args:
            code: the code that the provider gave to the browser.
            started: the sign-in.
            wanted: claims that the provider is asked for where its token lacks them.

        Raises:
            Refused: the provider refuses the code, or its token is not for this sign-in.
            Unavailable: the provider does not answer.
        """
        known = self._ask()
        try:
            with httpx.Client(timeout=_TIMEOUT_SECONDS) as http:
                token = self._client(http).fetch_token(
                    known.configuration["token_endpoint"],
                    auth=self._authentication(),
                    client_id=self._client_id,
                    code=code,
                    code_verifier=started.verifier,
                )
                claims = dict(self._checked(str(token.get("id_token")), known, started.nonce))
                endpoint = known.configuration.get("userinfo_endpoint")
                if endpoint is not None and any(each not in claims for each in wanted):
                    bearer = {"Authorization": f"Bearer {token['access_token']}"}
                    more = http.get(endpoint, headers=bearer).raise_for_status().json()
                    if more.get("sub") == claims["sub"]:
                        claims = {**more, **claims}
        except (AuthlibBaseError, JoseError) as error:
            raise Refused(f"the provider's answer is refused: {error}; sign in again") from None
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise _unavailable(error) from None
        return claims

    def _checked(self, text: str, known: _Known, nonce: str) -> Mapping[str, Any]:
        try:
            token = jwt.decode(text, known.keys, algorithms=list(ALGORITHMS))
        except (JoseError, ValueError):
            # The provider may have new keys.
            token = jwt.decode(text, self._ask(again=True).keys, algorithms=list(ALGORITHMS))
        rules = jwt.JWTClaimsRegistry(
            leeway=_LEEWAY_SECONDS,
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True, "value": self._client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        rules.validate(token.claims)
        if token.claims.get("azp", self._client_id) != self._client_id:
            raise Refused("the provider's token is for another client; sign in again")
        return token.claims

    def _client(self, http: httpx.Client | None) -> OAuth2Client:
        return OAuth2Client(
            http,
            self._client_id,
            scope="openid profile email",
            redirect_uri=self._redirect_uri,
            code_challenge_method="S256",
        )

    def _authentication(self) -> httpx.Auth:
        if self._client_secret is None:
            return httpx.Auth()
        # RFC 6749, 2.3.1: both are encoded as in a form.
        return httpx.BasicAuth(quote_plus(self._client_id), quote_plus(self._client_secret))

    def _ask(self, *, again: bool = False) -> _Known:
        with self._lock:
            known = self._known
            if known is None or again or known.until < time.monotonic():
                known = self._known = self._read()
            return known

    def _read(self) -> _Known:
        address = f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"
        try:
            with httpx.Client(timeout=_TIMEOUT_SECONDS) as client:
                configuration = client.get(address).raise_for_status().json()
                if configuration["issuer"] != self._issuer:
                    raise Refused(
                        f"the provider calls itself {configuration['issuer']}; write so in --oidc-issuer"
                    )
                keys = client.get(configuration["jwks_uri"]).raise_for_status().json()
            return _Known(
                configuration, KeySet.import_key_set(keys), time.monotonic() + _KEPT_SECONDS
            )
        except (httpx.HTTPError, JoseError, ValueError, KeyError, TypeError) as error:
            raise _unavailable(error) from None


def _unavailable(error: Exception) -> Unavailable:
    return Unavailable(
        f"the OpenID provider does not answer as it should ({type(error).__name__}); try again"
    )
