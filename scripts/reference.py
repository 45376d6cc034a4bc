"""Write the reference pages of the documentation from the code: commands, keys of the file, tables.

`make generate` runs this module. A test fails if a page is out of date.
"""

import json
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.main import make_program
from reconciler.cli.options import shared_options

if TYPE_CHECKING:
    from sqlalchemy import Connection

PROJECT = Path(__file__).resolve().parents[1]
SENTENCES = PROJECT / "scripts" / "tables.toml"
PAGES = PROJECT / "docs" / "reference"
GENERATED = "<!-- Written by `make generate`. -->\n"

_COLUMNS = """
SELECT
    class.relname AS table,
    class.relkind = 'v' AS is_view,
    attribute.attname AS column,
    format_type(attribute.atttypid, attribute.atttypmod) AS type,
    attribute.attnotnull AS required,
    pg_get_expr(expression.adbin, expression.adrelid) AS default
FROM pg_class AS class
JOIN pg_attribute AS attribute ON attribute.attrelid = class.oid
LEFT JOIN pg_attrdef AS expression
    ON expression.adrelid = class.oid AND expression.adnum = attribute.attnum
WHERE class.relnamespace = 'public'::regnamespace AND class.relkind IN ('r', 'v')
    AND attribute.attnum > 0 AND NOT attribute.attisdropped AND class.relname <> 'alembic_version'
ORDER BY class.relname, attribute.attnum
"""
_FUNCTIONS = """
SELECT
    proname AS name,
    pg_get_function_arguments(oid) AS arguments,
    pg_get_function_result(oid) AS result
FROM pg_proc
WHERE pronamespace = 'public'::regnamespace AND prokind = 'f' AND proname = ANY(:documented)
ORDER BY proname
"""
_DOCUMENTED = (
    "categorize_repository",
    "categorize_all_repositories",
    "eligible_repositories",
    "explain_repository_eligibility",
    "is_repository_eligible_for_rollout",
    "merge_rollout_rollup",
    "prune_rollout_metrics",
    "prune_rollout_metrics_batch",
    "record_rollout_job",
    "record_rollout_jobs",
    "rollout_bucket",
    "route_rollout_job",
)


def commands_page() -> str:
    """Return the page of all commands, with their help texts."""
    program = make_program()
    context = click.Context(program, info_name="reconcile")
    lines = [GENERATED, "# Commands\n", *_options("Options of every command", shared_options())]
    lines += _command(program, context, depth=2)
    for name in program.list_commands(context):
        command = program.get_command(context, name)
        assert command is not None
        lines += _command_and_below(command, context, name)
    return "\n".join(lines)


def file_page() -> str:
    """Return the page of all keys of the file."""
    schema = json.loads((PROJECT / "schemas" / "rollout.schema.json").read_text("utf-8"))
    lines = [GENERATED, "# Keys of rollout.yaml\n"]
    lines += _keys("rollout.yaml", schema, schema)
    for name, definition in sorted(schema["$defs"].items()):
        if "properties" in definition:
            lines += _keys(name, definition, schema)
    return "\n".join(lines)


def tables_page(connection: "Connection") -> str:
    """Return the page of all tables, views and functions of a database of this release."""
    from sqlalchemy import text

    sentences = tomllib.loads(SENTENCES.read_text("utf-8"))
    lines = [GENERATED, "# Tables and functions\n"]
    lines.append("Times are with time zone. A column may be null only where its type says so.")
    table = None
    for row in connection.execute(text(_COLUMNS)):
        about = sentences["tables"].get(row.table, {})
        _require_sentence(about, "about", row.table)
        _require_sentence(about, row.column, row.table)
        if row.table != table:
            table = row.table
            kind = " (view)" if row.is_view else ""
            lines += [f"\n## {table}{kind}\n", f"{about['about']}\n"]
            lines += ["| column | type | default | meaning |", "| --- | --- | --- | --- |"]
        kind = row.type if row.required or row.is_view else f"{row.type}, may be null"
        lines.append(f"| `{row.column}` | {kind} | {_code(row.default)} | {about[row.column]} |")
    lines += ["\n## Functions\n", "| function | returns | meaning |", "| --- | --- | --- |"]
    for each in connection.execute(text(_FUNCTIONS), {"documented": list(_DOCUMENTED)}):
        _require_sentence(sentences["functions"], each.name, "functions")
        about = sentences["functions"][each.name]
        lines.append(f"| `{each.name}({each.arguments})` | `{each.result}` | {about} |")
    return "\n".join(lines) + "\n"


def _require_sentence(sentences: Mapping[str, str], key: str, table: str) -> None:
    if key not in sentences:
        raise LookupError(f"write a sentence for {key} of {table} in scripts/tables.toml")


def _command_and_below(command: click.Command, context: click.Context, name: str) -> Iterator[str]:
    inner = click.Context(command, info_name=name, parent=context)
    yield from _command(command, inner, depth=2)
    if isinstance(command, click.Group):
        for below in command.list_commands(inner):
            found = command.get_command(inner, below)
            assert found is not None
            yield from _command(found, click.Context(found, info_name=below, parent=inner), depth=3)


def _command(command: click.Command, context: click.Context, *, depth: int) -> Iterator[str]:
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"{'#' * depth} {context.command_path}\n"
    yield f"`{context.command_path} {usage}`\n"
    if command.help is not None:
        for paragraph in command.help.split("\n\n"):
            yield f"{_plain(paragraph)}\n"
    shared = {parameter.name for parameter in shared_options()}
    own = [each for each in command.params if each.name not in shared]
    yield from _options("", own)
    if command.epilog is not None:
        yield f"{_plain(command.epilog)}\n"


def _options(title: str, parameters: list[click.Parameter]) -> Iterator[str]:
    options = [each for each in parameters if isinstance(each, click.Option) and not each.hidden]
    if not options:
        return
    if title:
        yield f"## {title}\n"
    yield "| option | meaning |"
    yield "| --- | --- |"
    for option in options:
        record = option.get_help_record(click.Context(click.Command("reconcile")))
        if record is not None:
            names, meaning = record
            yield f"| `{_cell(names)}` | {_cell(meaning)} |"
    yield ""


def _keys(name: str, definition: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[str]:
    yield f"## {name}\n"
    if "description" in definition:
        yield f"{_plain(definition['description'])}\n"
    properties = definition.get("properties", {})
    yield "| key | type | default | meaning |"
    yield "| --- | --- | --- | --- |"
    for key, value in properties.items():
        default = _code(json.dumps(value["default"])) if "default" in value else ""
        meaning = _cell(_plain(value.get("description", "")))
        yield f"| `{key}` | {_kind(value, schema)} | {default} | {meaning} |"
    yield ""


def _kind(  # noqa: PLR0911 - one line for each kind
    value: Mapping[str, Any], schema: Mapping[str, Any]
) -> str:
    """Return the type of a key, in words."""
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        definition = schema["$defs"][name]
        return name if "properties" in definition else _kind(definition, schema)
    if "anyOf" in value:
        return " or ".join(
            _kind(each, schema) for each in value["anyOf"] if each != {"type": "null"}
        )
    if "enum" in value:
        return ", ".join(_code(str(each)) for each in value["enum"])
    if "const" in value:
        return _code(json.dumps(value["const"]))
    kind = str(value.get("type", "value"))
    if kind == "array":
        return f"list of {_kind(value.get('items', {}), schema)}"
    if kind == "object":
        (named,) = value.get("patternProperties", {"": value.get("additionalProperties")}).values()
        return f"mapping of names to {_kind(named, schema)}"
    least, most = value.get("minimum"), value.get("maximum")
    if least is not None and most is not None:
        return f"{kind} from {least:,} to {most:,}"
    return kind


def _plain(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|")


def _code(text: str | None) -> str:
    return f"`{_cell(text)}`" if text else ""


def main() -> None:
    """Write the pages. The tables come from a new database of this release."""
    from reconciler.database import schema
    from reconciler.database.address import DatabaseAddress
    from reconciler.database.connection import create_engine
    from reconciler.database.embedded import EmbeddedServer

    PAGES.mkdir(parents=True, exist_ok=True)
    (PAGES / "commands.md").write_text(commands_page(), "utf-8")
    (PAGES / "rollout-file.md").write_text(file_page(), "utf-8")
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedServer(Path(folder) / "server")
        engine = create_engine(DatabaseAddress.parse(server.start()))
        try:
            schema.upgrade(engine)
            with engine.connect() as connection:
                (PAGES / "tables.md").write_text(tables_page(connection), "utf-8")
        finally:
            engine.dispose()
            server.stop()


if __name__ == "__main__":
    main()
