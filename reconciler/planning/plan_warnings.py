"""Warnings of a plan: what is allowed, and probably not what a person wants."""

from collections.abc import Iterable, Iterator
from decimal import Decimal

from reconciler.planning.feature_config import Configuration
from reconciler.planning.live_state import Directory
from reconciler.rollout_file.override import Override
from reconciler.wording import describe_limit, show_number
from rollout_client.targeting.steps import step_in_force
from rollout_client.targeting.strategy import Strategy


def feature_warnings(before: Configuration | None, after: Configuration) -> tuple[str, ...]:
    """Return warnings about one feature's change."""
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
    if before is not None and before.bucketing is not after.bucketing:
        yield "another bucketing draws other repositories at the same percentage"


def limit_warnings(desired: Configuration, in_force: Override | None) -> tuple[str, ...]:
    """Return a warning about a limit without effect."""
    limit = None if in_force is None else in_force.percentage
    if limit is None or limit <= desired.percentage:
        return ()
    return (
        f"the override's limit of {show_number(limit)} is above the percentage "
        f"{show_number(desired.percentage)}: it limits nothing",
    )


def removal_warnings(in_force: Override | None) -> tuple[str, ...]:
    """Return a warning about a limit in force on a feature that the file no longer has."""
    if in_force is None:
        return ()
    return (
        f"{describe_limit(in_force.percentage)} is in force under this name alone; if the file has the "
        "feature under another name, nothing limits it there; "
        "to stop it there: reconcile stop --feature NAME",
    )


def rename_warnings(entries: Iterable[str], directory: Directory) -> tuple[str, ...]:
    """Return the entries with an old name of a repository, each with the new name."""
    if not directory.remembered:
        return ()
    return tuple(
        f"{entry} is called {directory.name(directory.key(entry))} now; "
        "the entry stays with that repository, write its new name"
        for entry in entries
        if directory.is_renamed(entry)
    )
