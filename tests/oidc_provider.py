"""A small OpenID provider with a socket: discovery, keys, authorization code with PKCE, userinfo."""

import base64
import json
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, quote_plus, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "rollout", "secret%of+the:client"


@dataclass
class OidcProvider:
    """Signs in one person, whose claims a test changes."""

    issuer: str = ""
    claims: dict[str, Any] = field(default_factory=dict)
    """Replace those of the token; None removes one."""
    more: dict[str, Any] = field(default_factory=dict)
    """What userinfo has beside the token."""
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "1"}))
    signing_key: Any = None
    """Signs in place of `key`."""
    algorithm: str = "RS256"
    codes: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def authorize(self, query: Mapping[str, str]) -> str:
        """Return where the browser goes, with a code."""
        assert query["response_type"] == "code"
        assert query["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe()
        self.codes[code] = query
        answer = urlencode({"code": code, "state": query["state"]})
        return f"{query['redirect_uri']}?{answer}"

    def token(self, authorization: str, form: Mapping[str, str]) -> tuple[int, Mapping[str, Any]]:
        """Return a token for a code, which counts once."""
        began = self.codes.pop(form["code"], None)
        challenge = base64.urlsafe_b64encode(sha256(form["code_verifier"].encode()).digest())
        basic = base64.b64encode(f"{CLIENT}:{quote_plus(SECRET)}".encode()).decode()
        if (
            began is None
            or began["code_challenge"] != challenge.decode().rstrip("=")
            or began["redirect_uri"] != form["redirect_uri"]
            or authorization != f"Basic {basic}"
        ):
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "sub": "7",
            "email": "olga@example.com",
            "email_verified": True,
            "groups": ["on-call"],
            "nonce": began["nonce"],
            "iat": now,
            "exp": now + 60,
            **self.claims,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        header = {"alg": self.algorithm, "kid": "1"}
        if self.algorithm == "none":
            parts = (json.dumps(each).encode() for each in (header, claims))
            signed = ".".join(base64.urlsafe_b64encode(each).decode().rstrip("=") for each in parts)
            signed += "."
        else:
            key = self.signing_key or self.key
            signed = jwt.encode(header, claims, key, algorithms=[self.algorithm])
        return 200, {"access_token": "a", "token_type": "Bearer", "id_token": signed}


@contextmanager
def running_provider() -> Iterator[OidcProvider]:
    """Yield a provider that answers at its issuer."""
    provider = OidcProvider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            match parts.path:
                case "/.well-known/openid-configuration":
                    self._answer(200, _configuration(provider.issuer))
                case "/keys":
                    self._answer(200, {"keys": [provider.key.as_dict(private=False)]})
                case "/authorize":
                    query = {name: each[0] for name, each in parse_qs(parts.query).items()}
                    self.send_response(302)
                    self.send_header("Location", provider.authorize(query))
                    self.end_headers()
                case "/userinfo":
                    self._answer(200, {"sub": "7", **provider.more})
                case _:
                    self._answer(404, {})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: each[0] for name, each in parse_qs(body).items()}
            self._answer(*provider.token(self.headers.get("Authorization", ""), form))

        def log_message(self, *_: object) -> None:
            """Log nothing."""

        def _answer(self, status: int, content: Mapping[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider.issuer = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _configuration(issuer: str) -> Mapping[str, Any]:
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "userinfo_endpoint": f"{issuer}/userinfo",
        "jwks_uri": f"{issuer}/keys",
    }
