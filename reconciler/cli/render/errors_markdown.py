"""Errors as Markdown, for a job's summary and a comment: what is wrong, and where."""

from collections.abc import Iterator, Sequence
from typing import Final

from reconciler.cli.render.escape import for_line, for_markdown
from reconciler.cli.render.markdown import joined
from reconciler.errors import FileInvalid, ReconcilerError, Stale
from reconciler.wording import count, counted

MAX_FINDINGS: Final = 50
MAX_MESSAGE: Final = 400
"""Characters of one message; with `MAX_FINDINGS` of them a comment stays under GitHub's limit."""


def errors_markdown(errors: Sequence[ReconcilerError]) -> str:
    """Return what ended a command, with the first findings of each file."""
    return joined(part for error in errors for part in _parts(error))


def _parts(error: ReconcilerError) -> Iterator[str]:
    match error:
        case FileInvalid():
            total = len(error.findings)
            yield f"### Rollout: {for_markdown(error.path)} has {counted(total, 'error')}"
            shown = error.findings[:MAX_FINDINGS]
            yield "\n".join(
                f"- line {each.line}, column {each.column}: {_cut(each.message)}" for each in shown
            )
            if total > len(shown):
                yield f"… and {count(total - len(shown))} more."
        case Stale():
            yield f"### Rollout: nothing to do\n\n{_cut(str(error))}"
        case _:
            yield f"### Rollout: not done\n\n{_cut(str(error))}"


def _cut(message: str) -> str:
    shown = for_line(message)
    return for_markdown(shown if len(shown) <= MAX_MESSAGE else f"{shown[:MAX_MESSAGE]} …")
