"""The moment of an answer about the past."""

from typing import TYPE_CHECKING, Any, Final

from reconciler.wording import short_commit, show_time

if TYPE_CHECKING:
    from reconciler.database.time_travel import Then

AS_OF_NOTE: Final = "names and sizes are those of today; environment variables do not count"
AT_HELP: Final = (
    "The state at a generation, at an applied commit, or at a time (24h: 24 hours ago)."
)


def as_of(then: "Then | None") -> dict[str, Any] | None:
    """Return the moment of an answer, for JSON."""
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
    """Return the moment of an answer, for people."""
    commit = f" ({short_commit(then.commit)})" if then.commit else ""
    words = f"generation {then.generation}{commit}, applied {show_time(then.applied_at)}"
    if then.act is None:
        return words
    return f"{words}, then {then.act.action} at {show_time(then.act.at)}"
