"""Warnings: what a plan does that its author may not have meant. They refuse nothing."""

from collections.abc import Iterable, Iterator
from decimal import Decimal

from reconciler.planning.feature_config import Configuration
from reconciler.planning.live_state import Directory
from reconciler.targeting.steps import step_in_force
from reconciler.targeting.strategy import Strategy
from reconciler.wording import show_number


def feature_warnings(before: Configuration | None, after: Configuration) -> tuple[str, ...]:
    """Return what is worth a second look in one feature's change."""
    return tuple(_warnings(before, after))


def _warnings(before: Configuration | None, after: Configuration) -> Iterator[str]:
    if after.strategy is Strategy.REPOSITORY_SIZE:
        step = Decimal(step_in_force(after.percentage))
        if step != after.percentage:
            yield (
                f"{show_number(after.percentage)} is between the steps of repository_size: "
                f"{show_number(step)} is in force"
            )
    if after.strategy is Strategy.WHITELIST and after.percentage > 0:
        yield "percentage means nothing under the strategy whitelist"
    if before is not None and before.salt != after.salt:
        yield "another salt draws other repositories at the same percentage"


def rename_warnings(entries: Iterable[str], directory: Directory) -> tuple[str, ...]:
    """Return which entries keep an old name of a repository, with its new one."""
    return tuple(
        f"{entry} is called {directory.name(directory.key(entry))} now; "
        "the entry stays with that repository, write its new name"
        for entry in entries
        if directory.is_renamed(entry)
    )
