"""Progress of work that takes longer than a second: one line on a terminal, nothing elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from reconciler.cli.render.words import count
from reconciler.cli.settings import Settings


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
        click.echo("\r\033[K", nl=False, err=True)
