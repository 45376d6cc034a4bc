"""Forms: reading them, and the proof that a page of this dashboard sent them in the session that read it."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlsplit

from reconciler.dashboard.sign_in.signer import Signer
from reconciler.errors import ReconcilerError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

COOKIE: Final = "rollout_form"
_PURPOSE: Final = "form"
_MAX_BODY_BYTES: Final = 16_384
_MAX_FIELDS: Final = 20

Form = Mapping[str, str]


class FormTooLong(ReconcilerError):
    """Shorten the form: it has more than 16 KB, or too many fields."""


@dataclass(frozen=True, slots=True)
class Forms:
    """The forms of one dashboard."""

    signer: Signer
    public_url: str | None = None
    """The address in the browser; None for that of the request."""

    def proof(self, request: "Request", session: str) -> str:
        """Return the proof for the forms of a page; it counts for its reader alone."""
        return self.signer.proof(_PURPOSE, f"{session}\0{_reader(request)}")

    def session(self, request: "Request") -> str:
        """Return the session of a page with a form: that of the request, or a new one."""
        return request.cookies.get(COOKIE) or secrets.token_urlsafe(32)

    def keep(self, request: "Request", response: "Response", session: str) -> None:
        """Keep the session of a page in the browser."""
        self.set_cookie(request, response, COOKIE, session)

    def set_cookie(
        self,
        request: "Request",
        response: "Response",
        name: str,
        value: str,
        *,
        is_sent_from_elsewhere: bool = False,
        seconds: int | None = None,
    ) -> None:
        """Set a cookie that no script can read."""
        response.set_cookie(
            name,
            value,
            max_age=seconds,
            httponly=True,
            samesite="lax" if is_sent_from_elsewhere else "strict",
            secure=self._is_behind_tls(request),
        )

    def is_of_this_site(self, request: "Request") -> bool:
        """Return whether no page of another site sent the request, as far as the browser says."""
        origin = request.headers.get("origin")
        return origin is None or urlsplit(origin).netloc in self._hosts(request)

    def is_from_here(self, request: "Request", form: Form) -> bool:
        """Return whether a page of this dashboard sent the form, in the session that read it."""
        if not self.is_of_this_site(request):
            return False
        session = request.cookies.get(COOKIE)
        if session is None:
            return False
        sent, text = form.get("csrf", ""), f"{session}\0{_reader(request)}"
        return self.signer.proves(sent, _PURPOSE, text)

    def _hosts(self, request: "Request") -> set[str | None]:
        public = () if self.public_url is None else (urlsplit(self.public_url).netloc,)
        return {request.headers.get("host"), *public}

    def _is_behind_tls(self, request: "Request") -> bool:
        # A forged header makes the sender's own cookies stricter, and nothing else.
        schemes = request.url.scheme, request.headers.get("x-forwarded-proto")
        return "https" in schemes or (self.public_url or "").startswith("https:")


async def read_form(request: "Request") -> Form:
    """Return the fields of a form, the last value of each.

    Raises:
        FormTooLong: it is too long.
    """
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > _MAX_BODY_BYTES:
            raise FormTooLong
    try:
        found = parse_qs(
            content.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_MAX_FIELDS
        )
    except ValueError:
        raise FormTooLong from None
    return {name: values[-1] for name, values in found.items()}


def _reader(request: "Request") -> str:
    person = request.scope["state"].get("person")
    return "" if person is None else person.name
