"""Writing results: to stdout, with colour on a terminal only."""

import dataclasses
import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from io import UnsupportedOperation
from typing import Any, TypeVar
from uuid import UUID

import click

from reconciler.cli.options import Format, Settings
from reconciler.cli.render.escape import for_json
from reconciler.planning.feature_config import plain
from reconciler.wording import show_time

Data = TypeVar("Data")


def show_result(settings: Settings, data: Data, text: Callable[[], str]) -> Data:
    """Print a command's result as text or as JSON, and return it, for whoever calls commands by program."""
    if settings.choose_format(Format.TEXT, Format.JSON) is Format.JSON:
        print_json(settings, data)
    else:
        print_result(settings, text())
    return data


def print_result(settings: Settings, text: str) -> None:
    """Print a command's result; styles in it are shown on a terminal and left out elsewhere.

    A command whose reader has gone goes on, and says so by its exit code: what it tells of is done,
    and what it has yet to do, such as carrying a stop into git, matters more than who reads.
    """
    is_plain = settings.no_color or bool(os.environ.get("NO_COLOR")) or not sys.stdout.isatty()
    try:
        click.echo(text, color=not is_plain)
    except OSError as error:
        settings.unprinted = error
        print_into_nothing()


def print_into_nothing() -> None:
    """Keep whatever is printed from now on, and what is not flushed yet, from failing again."""
    with suppress(UnsupportedOperation):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_json(settings: Settings, value: Any) -> None:
    """Print a command's result as JSON: dataclasses as objects, times in UTC, durations as written."""
    shown = json.dumps(value, indent=2, ensure_ascii=False, default=_jsonable)
    print_result(settings, for_json(shown))


def _jsonable(value: Any) -> Any:
    match value:
        case datetime():
            return show_time(value)
        case Decimal() | timedelta():
            return plain(value)
        case UUID():
            return str(value)
        case frozenset():
            return sorted(value)
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
        case _:
            raise TypeError(f"no JSON for {type(value).__name__}")
