"""An authenticating proxy signs people in; its headers are believed from its addresses alone."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from starlette.responses import PlainTextResponse, Response

from reconciler.dashboard.sign_in.people import Person, RolesOfGroups
from reconciler.errors import SetupInvalid

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import Route

    from reconciler.dashboard.forms import Forms
    from reconciler.dashboard.sign_in.gate import Render

USER_HEADER: Final = "X-Forwarded-User"
GROUPS_HEADER: Final = "X-Forwarded-Groups"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse_network(text: str) -> Network:
    """Return a network such as 10.0.0.0/8, or the one of a single address.

    Raises:
        SetupInvalid: it is not one.
    """
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise SetupInvalid(f"--trusted-proxy {text}: {error}; write one as 10.1.0.0/16") from None


@dataclass(frozen=True)
class ProxySignIn:
    """People by the headers of a proxy."""

    networks: Sequence[Network]
    roles: RolesOfGroups
    user_header: str = USER_HEADER
    groups_header: str = GROUPS_HEADER
    open_paths: Sequence[str] = ()
    ends_sessions: bool = False

    def person(self, request: "Request") -> Person | None:
        if not self._is_from_proxy(request):
            return None
        names = request.headers.getlist(self.user_header)
        # With two values the proxy has added its own to one that the sender wrote.
        if len(names) != 1 or not names[0].strip():
            return None
        listed = request.headers.getlist(self.groups_header)
        if len(listed) > 1:
            return None
        groups = [each.strip() for each in ",".join(listed).split(",") if each.strip()]
        return self.roles.person(names[0].strip(), groups)

    def refuse(self, request: "Request") -> Response:
        if not self._is_from_proxy(request):
            return PlainTextResponse("open the dashboard through its proxy\n", 401)
        return PlainTextResponse(
            f"the proxy sent no person with a role: one header {self.user_header}, and a group of "
            f"--viewers or --operators in {self.groups_header}\n",
            403,
        )

    def routes(self, forms: "Forms", render: "Render") -> Sequence["Route"]:
        return ()

    def _is_from_proxy(self, request: "Request") -> bool:
        if request.client is None:
            return False
        try:
            address = ipaddress.ip_address(request.client.host)
        except ValueError:
            return False
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self.networks)
