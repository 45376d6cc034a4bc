"""`reconcile serve`: features as flags over OFREP."""

import os
import re
import signal
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from reconciler.cli.context import find_address
from reconciler.cli.options import Format, Settings, settings_of
from reconciler.cli.types import Duration, Listen
from reconciler.errors import SetupInvalid
from reconciler.listen_address import ListenAddress

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.cli.watch_log import Log
    from reconciler.ofrep.access import Access
    from reconciler.ofrep.observation import Answered

EXIT_INTERRUPTED: Final = 128 + signal.SIGINT
_ORIGIN: Final = re.compile(r"https?://[^/?#\s]+")


@click.command(epilog="Example: reconcile serve --listen 127.0.0.1:8016")
@click.option(
    "--listen",
    type=Listen(),
    default="127.0.0.1:8016",
    show_default=True,
    metavar="HOST:PORT",
    help="The address to serve on; port 0 is any free port.",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Accept only requests with a token of this file: one token a line, read again after a "
    "change; also ROLLOUT_OFREP_TOKEN. Required unless the address is a loopback address.",
)
@click.option(
    "--cors-origin",
    "cors_origins",
    multiple=True,
    metavar="ORIGIN",
    help="Allow browser requests from pages of this origin, such as https://app.example; repeatable.",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    help="Log each request to stderr in this format.",
)
@click.option(
    "--max-staleness",
    type=Duration(),
    default="5m",
    show_default=True,
    metavar="TIME",
    help="Every flag is off when the database has not confirmed the state for this time.",
)
@click.option(
    "--snapshot-file",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Keep the state in this file, for a start without the database.",
)
@click.option(
    "--snapshot-group",
    is_flag=True,
    help="Trust the group of the snapshot file, as with Kubernetes' fsGroup.",
)
@click.pass_context
def command(
    context: click.Context,
    *,
    listen: ListenAddress,
    token_file: Path | None,
    cors_origins: tuple[str, ...],
    log_format: str | None,
    max_staleness: timedelta,
    snapshot_file: Path | None,
    snapshot_group: bool,
) -> int:
    """Serve features as OpenFeature flags over HTTP (OFREP).

    With --feature only that feature. SIGTERM ends it after the open requests are answered.
    """
    settings = settings_of(context)
    settings.choose_format(Format.TEXT)
    if find_spec("starlette") is None or find_spec("uvicorn") is None:
        raise SetupInvalid("serve needs an extra: pip install 'rollout-reconciler[ofrep]'")
    from reconciler.cli.watch_log import Log, LogFormat
    from reconciler.invalid_requests import InvalidRequests
    from reconciler.ofrep.server import serve
    from rollout_client.client import RolloutClient

    access = _access(listen, token_file)
    _check_origins(cors_origins, access)
    client = RolloutClient(
        _database_url(settings),
        None if settings.feature is None else [settings.feature],
        max_staleness=max_staleness,
        snapshot_file=snapshot_file,
        snapshot_group=snapshot_group,
    )
    log = Log(LogFormat.TEXT if log_format is None else LogFormat(log_format), quiet=settings.quiet)
    try:
        ended_by = serve(
            client,
            listen,
            access,
            lambda at: settings.inform(f"serving http://{at}/ofrep/v1"),
            InvalidRequests(log.write_invalid_request),
            cors_origins=cors_origins,
            on_answered=None if log_format is None else _request_log(log),
        )
    finally:
        client.close()
    settings.inform(f"ended by {ended_by.name}")
    return 0 if ended_by is signal.SIGTERM else EXIT_INTERRUPTED


def _access(address: ListenAddress, token_file: Path | None) -> "Access":
    from reconciler.ofrep.access import TOKEN_VARIABLE, Access, FixedToken, watch_tokens

    token = os.environ.get(TOKEN_VARIABLE)
    if token_file is not None:
        if token is not None:
            raise SetupInvalid(f"--token-file and {TOKEN_VARIABLE} are both set; use one of them")
        return Access.make(address, watch_tokens(token_file))
    return Access.make(address, None if token is None else FixedToken.parse(token))


def _check_origins(origins: tuple[str, ...], access: "Access") -> None:
    for origin in origins:
        if origin == "*" and access.tokens is None:
            raise SetupInvalid("--cors-origin * needs a token: any page would be answered")
        if origin != "*" and _ORIGIN.fullmatch(origin) is None:
            raise click.BadOptionUsage(
                "cors_origins",
                f"--cors-origin: {origin!r} is not an origin, such as https://app.example",
            )


def _database_url(settings: Settings) -> "str | Callable[[], str]":
    """Return the address; that of the embedded server is looked up each time, because it can change."""
    from reconciler.database.embedded import EmbeddedServer

    address = find_address(settings)
    if address.embedded_in is None:
        return address.url
    server = EmbeddedServer(address.embedded_in)
    return lambda: server.status().url or address.url


def _request_log(log: "Log") -> "Callable[[Answered], None]":
    def write(answered: "Answered") -> None:
        log.write_info(
            "request",
            f"{answered.method} {answered.path} {answered.status} in {answered.seconds * 1000:.1f} ms",
            method=answered.method,
            path=answered.path,
            status=answered.status,
            seconds=round(answered.seconds, 6),
        )

    return write
