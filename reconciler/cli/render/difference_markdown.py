"""What a file changes of the one that it is to replace, as a pull request shows it without a database."""

from collections.abc import Iterator

from reconciler.cli.render.escape import for_markdown
from reconciler.cli.render.markdown import joined
from reconciler.cli.render.plan_markdown import categories_parts, feature_parts, marks_parts
from reconciler.cli.render.plan_text import is_shown
from reconciler.planning.plan import Plan
from reconciler.wording import counted


def difference_markdown(plan: Plan, file: str) -> str:
    """Return a difference between two files as Markdown."""
    return joined(_parts(plan, file))


def _parts(plan: Plan, file: str) -> Iterator[str]:
    changes = counted(plan.change_count, "change")
    yield f"### Rollout: {changes if plan.has_changes else 'nothing changes'} against the base"
    yield (
        f"{for_markdown(file)} is valid. It was compared with the file that it is to replace, and not "
        "with a database: who gains and who loses is counted where there is access to it."
    )
    if plan.refusing:
        guards = ", ".join(sorted({f"`{finding.guard}`" for _, finding in plan.refusing}))
        yield f"> **An apply would refuse this** until a person allows it by name: {guards}"
    for feature in plan.features:
        if is_shown(feature):
            yield from feature_parts(feature, plan.allowed_for(feature.name))
    yield from marks_parts(plan)
    yield from categories_parts(plan)
