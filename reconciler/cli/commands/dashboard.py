"""`reconcile dashboard`: the state of production, as pages for a browser."""

import signal
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import click

from reconciler.cli.context import (
    actor,
    database_wait_seconds,
    find_address,
    find_replica_address,
    open_address,
)
from reconciler.cli.options import Format, Settings, settings_of
from reconciler.cli.sign_in_options import make_sign_in, make_signer, sign_in_options
from reconciler.cli.types import Listen
from reconciler.cli.write_back_report import (
    describe_no_write_back,
    describe_problem,
    report_sentences,
    write_back_and_warn,
    write_back_option,
)
from reconciler.errors import ReconcilerError, SetupInvalid
from reconciler.listen_address import ListenAddress

if TYPE_CHECKING:
    from reconciler.dashboard.acts import Acting
    from reconciler.dashboard.screens.in_git import InGit
    from reconciler.database.address import DatabaseAddress
    from reconciler.database.transactions import Database

EXIT_INTERRUPTED: Final = 128 + signal.SIGINT
_PAGE_SECONDS: Final = 5
"""The longest statement of a page."""
_READER: Final = "rollout_reader"
_SAFEGUARD: Final = "rollout_safeguard"


@click.command(epilog="Example: reconcile dashboard --listen 127.0.0.1:8017")
@click.option(
    "--listen",
    type=Listen(),
    default="127.0.0.1:8017",
    show_default=True,
    metavar="HOST:PORT",
    help="Serve at this address; without --auth it is a loopback address. Port 0 takes a free one.",
)
@write_back_option("After an act, write")
@sign_in_options
@click.pass_context
def command(
    context: click.Context,
    /,
    *,
    listen: ListenAddress,
    writes_back: bool | None,
    **sign_in: Any,
) -> int:
    """Serve web pages with features, repositories, open tasks, history and the state of the system.

    Without --auth a person on this machine can stop, roll back and resume a feature on these pages. SIGTERM
    ends the server.
    """
    settings = settings_of(context)
    settings.choose_format(Format.TEXT)
    needed = ("authlib", "jinja2", "starlette", "uvicorn")
    if any(find_spec(name) is None for name in needed):
        raise SetupInvalid("dashboard needs an extra: pip install 'rollout-reconciler[dashboard]'")
    from reconciler.dashboard.application import Dashboard
    from reconciler.dashboard.server import serve
    from reconciler.database.connection import Rights
    from reconciler.database.transactions import Database

    signer = make_signer(sign_in)
    chosen = make_sign_in(sign_in, signer)
    address = find_address(settings)
    open_address(address, to_write=False)
    rights = Rights(None if chosen is None else _READER, statement_seconds=_PAGE_SECONDS)
    reading = Database.at(address, rights=rights)
    replica_address = find_replica_address(settings)
    replica = None if replica_address is None else Database.at(replica_address, rights=rights)
    if chosen is None:
        from reconciler.dashboard.sign_in.gate import LocalSignIn

        chosen = LocalSignIn(actor(settings))
        acting = _acting(settings, address, None, writes_back=writes_back)
    else:
        acting = _acting(settings, address, _SAFEGUARD, writes_back=writes_back)
    in_git = _in_git(settings)
    dashboard = Dashboard(reading, chosen, acting, signer, sign_in["public_url"], in_git, replica)
    ended_by = serve(dashboard, listen, lambda at: settings.inform(f"serving http://{at}/"))
    settings.inform(f"ended by {ended_by.name}")
    return 0 if ended_by is signal.SIGTERM else EXIT_INTERRUPTED


def _in_git(settings: Settings) -> "InGit":
    from reconciler.dashboard.screens.in_git import InGit
    from reconciler.git.discovery import find_top

    file = settings.path.absolute()
    if find_top(file.parent) is None:
        return InGit()
    from reconciler.git.limit_commits import find_limit_commits
    from reconciler.git.web_address import WebAddresses, read_web_addresses
    from reconciler.operations.block_in_git import read_block

    try:
        pages = read_web_addresses(file)
    except ReconcilerError:
        pages = WebAddresses(None, None)
    return InGit(
        pages.repository,
        pages.editor,
        lambda feature: read_block(file, feature),
        lambda overrides: find_limit_commits(file, overrides),
    )


def _acting(
    settings: Settings,
    address: "DatabaseAddress",
    role: str | None,
    *,
    writes_back: bool | None,
) -> "Acting":
    from reconciler.dashboard.acts import Acting
    from reconciler.database.connection import Rights
    from reconciler.database.transactions import Database

    patience_seconds = database_wait_seconds()

    def open_database() -> Database:
        return Database.at(
            address,
            on_wait=settings.inform,
            patience_seconds=patience_seconds,
            rights=Rights(role),
        )

    def write_back(database: "Database") -> Sequence[str]:
        report = write_back_and_warn(settings, database, requested=writes_back)
        if report is None:
            return (describe_no_write_back(requested=writes_back),)
        problem = describe_problem(report)
        return (*report_sentences(report), *(() if problem is None else (problem,)))

    return Acting(open_database, write_back)
