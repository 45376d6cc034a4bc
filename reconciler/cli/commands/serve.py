"""`reconcile serve`: features as flags over OFREP."""

import os
import signal
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from reconciler.cli.options import Format, settings_of
from reconciler.cli.types import Duration, Listen
from reconciler.errors import SetupInvalid
from reconciler.listen_address import ListenAddress

if TYPE_CHECKING:
    from reconciler.ofrep.access import Access

EXIT_INTERRUPTED: Final = 128 + signal.SIGINT


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
    help="Requests need the token in this file; also ROLLOUT_OFREP_TOKEN. "
    "Required unless the address is of this machine only.",
)
@click.option(
    "--max-staleness",
    type=Duration(),
    default="5m",
    show_default=True,
    metavar="TIME",
    help="Every flag is off when the database has not confirmed the state for so long.",
)
@click.option(
    "--snapshot-file",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Keep the state in this file, for a start without the database.",
)
@click.pass_context
def command(
    context: click.Context,
    *,
    listen: ListenAddress,
    token_file: Path | None,
    max_staleness: timedelta,
    snapshot_file: Path | None,
) -> int:
    """Serve features as OpenFeature flags over HTTP (OFREP).

    With --feature only that feature. SIGTERM ends it after the open requests are answered.
    """
    settings = settings_of(context)
    settings.choose_format(Format.TEXT)
    if find_spec("starlette") is None or find_spec("uvicorn") is None:
        raise SetupInvalid("serve needs an extra: pip install 'rollout-reconciler[ofrep]'")
    from reconciler.client.client import RolloutClient
    from reconciler.database.address import resolve_address
    from reconciler.ofrep.server import serve

    access = _access(listen, token_file)
    client = RolloutClient(
        resolve_address(settings.database_url, settings.path).url,
        None if settings.feature is None else [settings.feature],
        max_staleness=max_staleness,
        snapshot_file=snapshot_file,
    )
    try:
        ended_by = serve(
            client, listen, access, lambda at: settings.inform(f"serving http://{at}/ofrep/v1")
        )
    finally:
        client.close()
    settings.inform(f"ended by {ended_by.name}")
    return 0 if ended_by is signal.SIGTERM else EXIT_INTERRUPTED


def _access(address: ListenAddress, token_file: Path | None) -> "Access":
    from reconciler.ofrep.access import TOKEN_VARIABLE, Access, read_token

    token = os.environ.get(TOKEN_VARIABLE)
    if token_file is not None:
        if token is not None:
            raise SetupInvalid(f"--token-file and {TOKEN_VARIABLE} are both set; use one of them")
        token = read_token(token_file)
    return Access.make(address, token)
