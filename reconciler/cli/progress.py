"""Progress of work that takes longer than a second: one line on a terminal, nothing elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from reconciler.cli.options import Settings
from reconciler.wording import count


@contextmanager
def shown_progress(settings: Settings) -> Iterator[Callable[[str, int, int], None]]:
    """Yield what shows how far work is; its line is gone at the end."""
    if settings.quiet or not sys.stderr.isatty():
        yield lambda _what, _done, _total: None
        return

    def show(what: str, done: int, total: int) -> None:
        click.echo(f"\r\033[K{what}: {count(done)} of {count(total)}", nl=False, err=True)

    try:
        yield show
    finally:
        _clear_line()


def say_in_between(settings: Settings, message: str) -> None:
    """Tell people something while progress may be shown: in a line of its own."""
    if not settings.quiet and sys.stderr.isatty():
        _clear_line()
    settings.say(message)


def _clear_line() -> None:
    click.echo("\r\033[K", nl=False, err=True)
