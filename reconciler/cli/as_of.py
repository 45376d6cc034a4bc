"""Moments on the command line, `--at`: a generation, a commit or a time; and how an answer tells of one."""

import re
from typing import TYPE_CHECKING, Any, Final

import click

from reconciler.cli.commands.history import Since
from reconciler.wording import short_commit, show_time

if TYPE_CHECKING:
    from reconciler.database.time_travel import Moment, Then

AS_OF_NOTE: Final = (
    "names and the figures behind categories are today's; no environment variable counts"
)

AT_HELP: Final = (
    "As it was: at a generation, a commit that was applied, or a time (24h: so long ago)."
)

_OTHER_MOMENTS: Final = "a generation's number, or seven characters or more of a commit's name"

_GENERATION: Final = re.compile("[0-9]{1,30}")
_COMMIT: Final = re.compile("[0-9a-f]{7,64}")


class MomentType(click.ParamType["Moment"]):
    """A generation as its number, a commit by seven characters or more, or a time as `Since` reads it."""

    name = "moment"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> "Moment":
        """Return the moment, as far as its writing tells what it is."""
        from reconciler.database.time_travel import Moment

        written = value.lower()
        generation = int(written) if _GENERATION.fullmatch(written) else None
        commit = written if _COMMIT.fullmatch(written) else None
        if generation is not None or commit is not None:
            return Moment(written, generation, commit)
        try:
            time = Since().convert(value, None, None)
        except click.BadParameter as error:
            self.fail(f"{error.message}; or {_OTHER_MOMENTS}", param, ctx)
        # A time as output shows it has no fraction, and means all of its second.
        return Moment(written, time=time if time.microsecond else time.replace(microsecond=999_999))


def as_of(then: "Then | None") -> dict[str, Any] | None:
    """Return which moment an answer is of, as JSON has it."""
    if then is None:
        return None
    return {
        "generation": then.generation,
        "commit": then.commit,
        "applied_at": then.applied_at,
        "act": then.act,
        "note": AS_OF_NOTE,
    }


def as_of_words(then: "Then") -> str:
    """Return which moment an answer is of, as people read it."""
    commit = f" ({short_commit(then.commit)})" if then.commit else ""
    words = f"generation {then.generation}{commit}, applied {show_time(then.applied_at)}"
    if then.act is None:
        return words
    return f"{words}, then {then.act.action} at {show_time(then.act.at)}"
