"""Health on GitHub: an annotation for each feature that fails, and the job's summary."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from reconciler.cli.render.annotations import Annotation, Level
from reconciler.cli.render.plan_markdown import MAX_CHARACTERS, code_block
from reconciler.planning.health import Reason, Verdict

if TYPE_CHECKING:
    from reconciler.operations.automatic_rollback import Watched


def failing(watched: "Iterable[Watched]") -> Iterator[Annotation]:
    """Yield an annotation for each feature that was rolled back, fails, or warns."""
    for each in watched:
        if each.rollback is not None:
            yield Annotation(Level.ERROR, f"{each.feature}: {each.health.sentence}", "rolled back")
        elif each.health.judgement.verdict is Verdict.FAIL:
            yield Annotation(Level.WARNING, f"{each.feature}: {each.health.sentence}", "fails")
        elif (
            each.health.judgement.verdict is Verdict.WARN
            or each.health.judgement.reason is Reason.SHARED_CAUSE
        ):
            yield Annotation(Level.WARNING, f"{each.feature}: {each.health.sentence}", "warns")


def health_markdown(text: str) -> str:
    """Return the text of the command as Markdown."""
    return f"### Rollout: health\n\n{code_block(click.unstyle(text)[:MAX_CHARACTERS])}"
