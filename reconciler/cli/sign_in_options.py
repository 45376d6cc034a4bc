"""The options of a dashboard's sign-in, and making it from them."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

import click

from reconciler.errors import SetupInvalid

if TYPE_CHECKING:
    from reconciler.dashboard.sign_in.gate import SignIn
    from reconciler.dashboard.sign_in.people import RolesOfGroups
    from reconciler.dashboard.sign_in.signer import Signer

Command = TypeVar("Command", bound=Callable[..., Any])

CLIENT_SECRET_VARIABLE: Final = "ROLLOUT_OIDC_CLIENT_SECRET"  # noqa: S105 - its name
_OF_GROUPS: Final = ("viewers", "operators")
_ONLY_WITH: Final[Mapping[str, tuple[str, ...]]] = {
    "token": ("token_file",),
    "proxy": ("trusted_proxies", "user_header", "groups_header", *_OF_GROUPS),
    "oidc": ("oidc_issuer", "oidc_client_id", "oidc_name_claim", "oidc_groups_claim", *_OF_GROUPS),
}
"""The options of each way to sign in."""
_OPTION_NAMES: Final = {"trusted_proxies": "trusted-proxy"}


def sign_in_options(command: Command) -> Command:
    """Add the options to a command."""
    path = click.Path(path_type=Path)
    options = (
        click.option(
            "--auth",
            type=click.Choice(["token", "proxy", "oidc"]),
            help="How people sign in; required unless the address is of this machine only.",
        ),
        click.option(
            "--token-file",
            type=path,
            metavar="PATH",
            help="With --auth token: a line a token, `role name token`, with role viewer or operator; only "
            "its owner may read it; read again when it changes.",
        ),
        click.option(
            "--trusted-proxy",
            "trusted_proxies",
            multiple=True,
            metavar="CIDR",
            help="With --auth proxy: addresses whose headers are believed; repeatable.",
        ),
        click.option("--user-header", metavar="NAME", help="The proxy's header with the person."),
        click.option("--groups-header", metavar="NAME", help="The proxy's header with the groups."),
        click.option("--oidc-issuer", metavar="URL", help="With --auth oidc: the provider."),
        click.option(
            "--oidc-client-id",
            metavar="ID",
            help=f"This client at the provider; {CLIENT_SECRET_VARIABLE} has its secret.",
        ),
        click.option(
            "--oidc-name-claim", metavar="CLAIM", help="The claim with the person; default: email."
        ),
        click.option(
            "--oidc-groups-claim",
            metavar="CLAIM",
            help="The claim with the groups; default: groups.",
        ),
        click.option(
            "--viewers",
            multiple=True,
            metavar="GROUP",
            help="This group may look; * is everyone who is signed in; repeatable.",
        ),
        click.option(
            "--operators", multiple=True, metavar="GROUP", help="This group may act; repeatable."
        ),
        click.option(
            "--secret-file",
            type=path,
            metavar="PATH",
            help="The secret that signs sessions and forms, for several replicas; default: a new one.",
        ),
        click.option(
            "--public-url",
            metavar="URL",
            help="The address in the browser, where a proxy serves it; required by --auth oidc.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def make_signer(options: Mapping[str, Any]) -> "Signer":
    """Return what signs sessions and forms."""
    from reconciler.dashboard.sign_in.signer import Signer

    path = options["secret_file"]
    return Signer.random() if path is None else Signer.of_file(path)


def make_sign_in(options: Mapping[str, Any], signer: "Signer") -> "SignIn | None":
    """Return the sign-in; None without one.

    Raises:
        SetupInvalid: a setting is missing or cannot be right.
        click.BadOptionUsage: an option belongs to another way to sign in.
    """
    auth = options["auth"]
    _check_options(options)
    match auth:
        case "token":
            from reconciler.dashboard.sign_in.tokens import TokenSignIn

            return TokenSignIn(_required(options, "token_file"), signer)
        case "proxy":
            from reconciler.dashboard.sign_in import proxy

            networks = tuple(map(proxy.parse_network, _required(options, "trusted_proxies")))
            return proxy.ProxySignIn(
                networks,
                _roles(options),
                options["user_header"] or proxy.USER_HEADER,
                options["groups_header"] or proxy.GROUPS_HEADER,
            )
        case "oidc":
            from reconciler.dashboard.sign_in.oidc import CALLBACK_PATH, OidcSignIn
            from reconciler.dashboard.sign_in.provider import Provider

            provider = Provider(
                _required(options, "oidc_issuer"),
                _required(options, "oidc_client_id"),
                os.environ.get(CLIENT_SECRET_VARIABLE) or None,
                f"{_required(options, 'public_url').rstrip('/')}{CALLBACK_PATH}",
            )
            return OidcSignIn(
                provider,
                _roles(options),
                signer,
                options["oidc_name_claim"] or "email",
                options["oidc_groups_claim"] or "groups",
            )
        case _:
            return None


def _check_options(options: Mapping[str, Any]) -> None:
    auth = options["auth"]
    allowed = _ONLY_WITH.get(auth, ())
    for name in {each for names in _ONLY_WITH.values() for each in names}:
        if options[name] and name not in allowed:
            ways = " or ".join(
                f"--auth {way}" for way, names in _ONLY_WITH.items() if name in names
            )
            raise click.BadOptionUsage(name, f"{_option(name)} belongs to {ways}")
    url = options["public_url"]
    if url is not None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/"):
            raise click.BadOptionUsage(
                "public_url", f"--public-url: {url!r} is not such as https://rollout.example.com"
            )


def _roles(options: Mapping[str, Any]) -> "RolesOfGroups":
    from reconciler.dashboard.sign_in.people import EVERYONE, RolesOfGroups

    if not options["viewers"] and not options["operators"]:
        raise SetupInvalid(
            f"--auth {options['auth']} needs the groups with a role: --operators GROUP, --viewers GROUP; "
            f"--viewers '{EVERYONE}' is everyone who is signed in"
        )
    return RolesOfGroups(options["operators"], options["viewers"])


def _required(options: Mapping[str, Any], name: str) -> Any:
    if not options[name]:
        raise SetupInvalid(f"--auth {options['auth']} needs {_option(name)}")
    return options[name]


def _option(name: str) -> str:
    return "--" + _OPTION_NAMES.get(name, name).replace("_", "-")
