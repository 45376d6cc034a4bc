"""`reconcile dashboard`: the state of production, as pages for a browser."""

import signal
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Final

import click

from reconciler.cli.context import actor, open_database
from reconciler.cli.options import Format, settings_of
from reconciler.cli.types import Listen
from reconciler.cli.write_back_report import report_text, write_back_and_warn
from reconciler.errors import SetupInvalid
from reconciler.listen_address import ListenAddress

EXIT_INTERRUPTED: Final = 128 + signal.SIGINT


@click.command(epilog="Example: reconcile dashboard --listen 127.0.0.1:8017")
@click.option(
    "--listen",
    type=Listen(),
    default="127.0.0.1:8017",
    show_default=True,
    metavar="HOST:PORT",
    help="Serve at this loopback address; port 0 takes a free one.",
)
@click.pass_context
def command(context: click.Context, *, listen: ListenAddress) -> int:
    """Serve web pages with features, repositories, open tasks, history and the state of the system.

    A person on this machine can stop, roll back and resume a feature on these pages. SIGTERM ends
    the server.
    """
    settings = settings_of(context)
    settings.choose_format(Format.TEXT)
    if any(find_spec(name) is None for name in ("jinja2", "starlette", "uvicorn")):
        raise SetupInvalid("dashboard needs an extra: pip install 'rollout-reconciler[dashboard]'")
    from reconciler.dashboard.acts import Acting
    from reconciler.dashboard.server import serve

    database = open_database(settings)
    person = actor(settings)

    def write_back() -> Sequence[str]:
        report = write_back_and_warn(settings, database, requested=None)
        return () if report is None else report_text(report).splitlines()

    acting = Acting(database, lambda _request: person, write_back)
    ended_by = serve(database, acting, listen, lambda at: settings.inform(f"serving http://{at}/"))
    settings.inform(f"ended by {ended_by.name}")
    return 0 if ended_by is signal.SIGTERM else EXIT_INTERRUPTED
