"""`reconcile serve`: flags for whoever asks by OFREP."""

import os
import signal
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from reconciler.cli.commands.metrics import Duration
from reconciler.cli.options import Format, settings_of
from reconciler.errors import SetupInvalid
from reconciler.listen_address import ListenAddress

if TYPE_CHECKING:
    from reconciler.ofrep.access import Access

EXIT_INTERRUPTED: Final = 128 + signal.SIGINT


@click.command(epilog="Example: reconcile serve --listen 127.0.0.1:8016")
@click.option(
    "--listen",
    default="127.0.0.1:8016",
    show_default=True,
    metavar="HOST:PORT",
    help="Where to serve; port 0 takes a free one.",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Who asks needs the token in this file; also ROLLOUT_OFREP_TOKEN. "
    "Needed where others reach the address.",
)
@click.option(
    "--max-staleness",
    type=Duration(),
    default="5m",
    show_default=True,
    metavar="TIME",
    help="Every flag is off when the database has not confirmed what is known for so long.",
)
@click.option(
    "--snapshot-file",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Keep what is known here, for a start without the database.",
)
@click.pass_context
def serve(
    context: click.Context,
    *,
    listen: str,
    token_file: Path | None,
    max_staleness: timedelta,
    snapshot_file: Path | None,
) -> int:
    """Evaluate features as OpenFeature's flags over HTTP (OFREP).

    With --feature only that one. SIGTERM ends it, once requests under way are answered.
    """
    settings = settings_of(context)
    settings.choose_format(Format.TEXT)
    address = _parse_address(listen)
    if find_spec("starlette") is None or find_spec("uvicorn") is None:
        raise SetupInvalid("serve needs an extra: pip install 'rollout-reconciler[ofrep]'")
    from reconciler.client.client import RolloutClient
    from reconciler.database.address import resolve_address
    from reconciler.ofrep.server import serve as serve_flags

    access = _access(address, token_file)
    client = RolloutClient(
        resolve_address(settings.database_url, settings.path).url,
        None if settings.feature is None else [settings.feature],
        max_staleness=max_staleness,
        snapshot_file=snapshot_file,
    )
    try:
        ended_by = serve_flags(
            client, address, access, lambda at: settings.say(f"serving http://{at}/ofrep/v1")
        )
    finally:
        client.close()
    settings.say(f"ended by {ended_by.name}")
    return 0 if ended_by is signal.SIGTERM else EXIT_INTERRUPTED


def _parse_address(text: str) -> ListenAddress:
    try:
        return ListenAddress.parse(text)
    except ValueError as error:
        raise click.BadOptionUsage("listen", f"--listen: {error}") from None


def _access(address: ListenAddress, token_file: Path | None) -> "Access":
    from reconciler.ofrep.access import TOKEN_VARIABLE, Access, read_token

    token = os.environ.get(TOKEN_VARIABLE)
    if token_file is not None:
        if token is not None:
            raise SetupInvalid(f"there are --token-file and {TOKEN_VARIABLE}; choose one")
        token = read_token(token_file)
    return Access.make(address, token)
