"""Asking a person at a terminal for a yes."""

import click


class Declined(click.Abort):
    """A person read the question and did not say yes."""


def ask(question: str, otherwise: str) -> None:
    """Go on where the answer is yes.

    Raises:
        Declined: it is not; `otherwise` says what that means.
        click.Abort: Ctrl-C, or the end of the input.
    """
    try:
        is_yes = click.confirm(question, err=True)
    except click.Abort:
        # The cursor stands behind the question still.
        click.echo(err=True)
        raise
    if not is_yes:
        raise Declined(otherwise)


def what_became(interruption: BaseException) -> str:
    """Return what a command says that a person ended before its end."""
    is_an_answer = isinstance(interruption, Declined)
    return str(interruption) if is_an_answer else "interrupted; nothing is half done"
