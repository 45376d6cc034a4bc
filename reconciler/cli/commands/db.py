"""`reconcile db`: the embedded server, and the schema of any database."""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from reconciler.cli.context import (
    embedded_folder,
    embedded_server,
    find_address,
    open_address,
    open_database,
)
from reconciler.cli.options import Format, Settings, settings_of
from reconciler.cli.output import print_json, print_result, show_result
from reconciler.errors import ReconcilerError

if TYPE_CHECKING:
    from reconciler.database.adoption import Adoption
    from reconciler.database.open_rights import OpenRights
    from reconciler.database.transactions import Database


@click.group("db", epilog="Example: reconcile db status")
def command() -> None:
    """The database: start, stop, show, migrate, grant.

    Without --database-url and DATABASE_URL it is an embedded Postgres beside the rollout file.
    """


@command.command(epilog="Example: reconcile db start")
@click.pass_context
def start(context: click.Context) -> None:
    """Start the embedded database, and create it if it does not exist."""
    from reconciler.database.address import embedded_address

    settings = settings_of(context)
    settings.choose_format(Format.TEXT)
    address = embedded_address(settings.path)
    open_address(address, to_write=True)
    print_result(settings, f"the embedded database runs at {address.url_without_secrets}")


@command.command(epilog="Example: reconcile db stop")
@click.pass_context
def stop(context: click.Context) -> None:
    """Stop the embedded database; its data stays."""
    settings = settings_of(context)
    settings.choose_format(Format.TEXT)
    stopped = embedded_server(settings).stop()
    print_result(
        settings,
        "the embedded database is stopped" if stopped else "the embedded database was not running",
    )


@command.command(epilog="Example: reconcile db status --format json")
@click.pass_context
def status(context: click.Context) -> int:
    """Show whether the database answers, and the version of its schema with differences from it.

    Exits 1 if a function, trigger or view differs from the schema, or if a role that an older
    release made lacks a right.
    """
    settings = settings_of(context)
    chosen = settings.choose_format(Format.TEXT, Format.JSON)
    found = _database_status(settings)
    if chosen is Format.JSON:
        print_json(settings, found)
    else:
        width = max(map(len, found)) + 2
        lines = [f"{key:<{width}}{value or '-'}" for key, value in found.items()]
        lines += [] if (step := _next_step(found)) is None else [f"{'next':<{width}}{step}"]
        print_result(settings, "\n".join(lines))
    return 0 if found["differs"] is None and found["rights"] is None else 1


@command.command(epilog="Example: psql $(reconcile db url)")
@click.pass_context
def url(context: click.Context) -> None:
    """Print the database's URL for libpq, without a password."""
    settings = settings_of(context)
    address = find_address(settings)
    found = {"url": address.url_without_secrets}
    show_result(settings, found, lambda: address.url_without_secrets)


@command.command(
    context_settings={"ignore_unknown_options": True},
    epilog="Example: reconcile db psql -- -c 'SELECT * FROM rollout_configuration'",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def psql(context: click.Context, arguments: tuple[str, ...]) -> int:
    """Open psql on the database; arguments after `--` go to psql."""
    from reconciler.cli.psql import run_psql
    from reconciler.database.embedded import installed_binaries

    settings = settings_of(context)
    settings.choose_format(Format.TEXT)
    address = find_address(settings)
    return run_psql(installed_binaries().program("psql"), address, arguments)


@command.command(epilog="Example: reconcile db upgrade --database-url postgresql://localhost/app")
@click.option("--dry-run", is_flag=True, help="Print what would change; write nothing.")
@click.option(
    "--accept-audience-change",
    is_flag=True,
    help="Adopt a service's tables even if repositories gain a feature.",
)
@click.option(
    "--repair",
    is_flag=True,
    help="Create this release's functions, triggers and views again.",
)
@click.pass_context
def upgrade(
    context: click.Context, /, *, dry_run: bool, accept_audience_change: bool, repair: bool
) -> None:
    """Migrate the database to this release's schema, or adopt the tables of a service.

    Two upgrades never run at once: the second one waits. An adoption prints which repositories
    would gain and lose each feature, and is refused if a repository would gain a feature.
    """
    from reconciler.cli.render.adoption_text import adoption_lines
    from reconciler.database import schema, schema_objects
    from reconciler.database.connection import translated_errors
    from reconciler.database.transactions import Database

    settings = settings_of(context)
    chosen = settings.choose_format(Format.TEXT, Format.JSON)
    database = Database.at(find_address(settings))
    with translated_errors(database.address):
        try:
            done = schema.upgrade(
                database.engine,
                accept_audience_change=accept_audience_change,
                dry_run=dry_run,
                on_wait=settings.inform,
            )
        except schema.AudienceWouldChange as refusal:
            if chosen is Format.JSON:
                print_json(settings, _upgraded(refusal.adoption, [], is_written=False))
            else:
                print_result(settings, "\n".join(adoption_lines(refusal.adoption)))
            raise
        repaired = (
            ()
            if done.changed
            else schema_objects.repair(database.engine, dry_run=dry_run, on_wait=settings.inform)
            if repair
            else ()
        )
    if chosen is Format.JSON:
        is_written = not dry_run and (done.changed or bool(repaired))
        print_json(settings, _upgraded(done.adoption, repaired, is_written=is_written))
        return
    lines = [] if done.adoption is None else [*adoption_lines(done.adoption), ""]
    if done.changed:
        lines.append(
            f"the schema would be {schema.NEWEST_REVISION}; nothing was written"
            if dry_run
            else f"the schema is {schema.NEWEST_REVISION} now"
        )
    elif not repaired:
        lines.append(f"the schema is {schema.NEWEST_REVISION} already; no action is needed")
    would_be = "would be made again" if dry_run else "is made again"
    lines += (f"{each} {would_be}" for each in repaired)
    print_result(settings, "\n".join(lines))


def _upgraded(
    adoption: "Adoption | None", repaired: Sequence[str], *, is_written: bool
) -> dict[str, object]:
    from reconciler.database.schema import NEWEST_REVISION

    return {
        "schema": NEWEST_REVISION,
        "written": is_written,
        "adoption": adoption,
        "repaired": repaired,
    }


@command.command(epilog="Example: reconcile db remove --yes")
@click.option("--yes", "-y", is_flag=True, help="Remove without asking.")
@click.pass_context
def remove(context: click.Context, /, *, yes: bool) -> None:
    """Drop the rollout's objects; restore the tables and functions of an adopted service.

    A table that the rollout created is dropped with its rows.
    """
    from reconciler.cli.output import ask
    from reconciler.database import removal
    from reconciler.database.address import resolve_address
    from reconciler.database.connection import translated_errors
    from reconciler.database.transactions import Database

    settings = settings_of(context)
    settings.choose_format(Format.TEXT)
    database = Database.at(resolve_address(settings.database_url, settings.path))
    if not yes:
        ask(f"Remove the rollout from {database.address.describe()}?", "nothing was removed")
    with translated_errors(database.address):
        removal.remove(database.engine, on_wait=settings.inform)
    print_result(settings, "the rollout is removed; the tables of the service are as before")


@command.command(epilog="Example: reconcile db roles | psql app")
@click.option("--apply", is_flag=True, help="Run the SQL, as the owner of the tables.")
@click.option(
    "--check",
    is_flag=True,
    help="Report only what other roles can write or execute; exit 1 if there is any.",
)
@click.option(
    "--trust",
    "trusted",
    multiple=True,
    metavar="ROLE",
    help="Do not show the rights of this role, such as the service's login. Can be repeated.",
)
@click.pass_context
def roles(context: click.Context, /, *, apply: bool, check: bool, trusted: tuple[str, ...]) -> int:
    """Print the grants of the four roles as SQL, which can be run more than once; --apply runs it.

    The command reports on stderr the objects that PUBLIC or another role can write or execute, and
    tables without row security in a database whose service uses it. With --check it prints only
    this report, and exits 1 if the report is not empty.
    """
    from reconciler.cli.render.open_rights_text import open_rights_lines
    from reconciler.database.roles import apply_roles, roles_script

    settings = settings_of(context)
    if apply and check:
        raise click.UsageError("--apply and --check exclude each other")
    if check:
        chosen = settings.choose_format(Format.TEXT, Format.JSON)
        found = _open_rights(open_database(settings), trusted)
        lines = open_rights_lines(found)
        if chosen is Format.JSON:
            print_json(settings, found)
        else:
            print_result(settings, "\n".join(lines) or "nothing is open to other roles")
        return 1 if lines else 0
    settings.choose_format(Format.TEXT)
    if apply:
        database = open_database(settings, to_write=True)
        apply_roles(database)
        print_result(
            settings,
            "granted: rollout_reader, rollout_worker, rollout_safeguard, rollout_reconciler",
        )
    else:
        print_result(settings, roles_script().rstrip())
        if settings.database_url is None and "DATABASE_URL" not in os.environ:
            return 0
        database = open_database(settings)
    try:
        lines = open_rights_lines(_open_rights(database, trusted))
    except ReconcilerError as error:
        settings.warn(f"the rights of other roles cannot be read: {error}")
        return 0
    for line in lines:
        settings.warn(line)
    return 0


def _open_rights(database: "Database", trusted: tuple[str, ...]) -> "OpenRights":
    from reconciler.database.open_rights import find_open_rights
    from reconciler.database.roles import find_missing_rights
    from reconciler.database.schema import require_newest
    from reconciler.database.transactions import read_only_transaction

    with read_only_transaction(database) as connection:
        require_newest(connection)
        found = find_open_rights(connection, trusted=trusted)
    return replace(found, missing=find_missing_rights(database) or [])


def _next_step(found: dict[str, str | None]) -> str | None:
    """Return the command to run; None if the schema is this release's or the server does not run."""
    from reconciler.database.schema import NEWEST_REVISION

    if found["server"] is None or found["schema"] == NEWEST_REVISION:
        return None
    if found["schema"] is not None and found["schema"] > NEWEST_REVISION:
        return "install the newer release that made this schema"
    return "reconcile db upgrade --dry-run shows what would change"


def _database_status(settings: Settings) -> dict[str, str | None]:
    from reconciler.cli.render.open_rights_text import missing_rights_line
    from reconciler.database.connection import translated_errors
    from reconciler.database.embedded import ServerState
    from reconciler.database.roles import find_missing_rights
    from reconciler.database.schema import NEWEST_REVISION, current_revision
    from reconciler.database.schema_objects import find_differences
    from reconciler.database.server import ONE_COPY, has_synchronous_standby
    from reconciler.database.transactions import Database

    if settings.database_url is None and "DATABASE_URL" not in os.environ:
        server = embedded_server(settings).status()
        if server.state is not ServerState.RUNNING:
            return {
                "database": f"the embedded database in {embedded_folder(settings)}",
                "state": server.state.value,
                "server": None,
                "copies": None,
                "schema": None,
                "differs": None,
                "rights": None,
            }
    address = find_address(settings)
    database = Database.at(address)
    with translated_errors(address), database.engine.connect() as connection:
        revision = current_revision(connection)
        version = connection.exec_driver_sql("SHOW server_version").scalar()
        copies = "two or more" if has_synchronous_standby(connection) else ONE_COPY
        differences = find_differences(connection) if revision == NEWEST_REVISION else []
    missing = find_missing_rights(database) if revision == NEWEST_REVISION else None
    return {
        "database": (
            f"the embedded database in {address.embedded_in}"
            if address.is_embedded
            else address.describe()
        ),
        "state": "running",
        "server": f"Postgres {version}",
        "copies": copies,
        "schema": revision,
        "differs": "; ".join(differences) or None,
        "rights": missing_rights_line(missing or ()),
    }
