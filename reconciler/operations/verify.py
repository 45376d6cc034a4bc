"""Verify rollbacks: read the facts from the database and from the remote, and judge check by check."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from reconciler.database.names import read_feature_names
from reconciler.database.override_actions import read_feature
from reconciler.database.schema import require_newest
from reconciler.database.schema_objects import require_own_objects
from reconciler.database.transactions import Database, read_only_transaction
from reconciler.database.verification import read_rollback_facts
from reconciler.git.checkout import CannotWriteBack, find_checkout
from reconciler.git.quarantine import quarantine
from reconciler.git.rollout_branch import rollout_branch
from reconciler.git.write_back import read_tip, trace_blocks
from reconciler.planning.overrides import limit_of
from reconciler.planning.verification import (
    Check,
    CheckStatus,
    GitAnswer,
    verify_rollback,
)
from reconciler.rollout_file.override import Override
from reconciler.wording import describe_limit, short_commit

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection

NOT_ASKED: Final = GitAnswer(CheckStatus.NOT_YET, "git was not asked")


@dataclass(frozen=True, slots=True)
class Verified:
    """One feature under an override, and its checks."""

    feature: str
    override: Override
    seconds: float
    """Since the override, by the database's clock."""
    checks: tuple[Check, ...]


def verify(
    database: Database,
    features: Sequence[str] = (),
    *,
    file: Path | None,
    fallback: str | None = None,
) -> tuple[Verified, ...]:
    """Return the checks of every feature under an override, or of the named ones.

    Args:
        database: the rollout's database.
        features: their names; empty for all.
        file: the rollout file in a checkout, whose remote is asked; without it git is not asked.
        fallback: the processor for the jobs of ineligible repositories; default: the feature's own.

    Raises:
        NotFound: there is no such feature.
    """
    with read_only_transaction(database) as connection:
        require_newest(connection)
        require_own_objects(connection)
        names = features or read_feature_names(connection)
        standing = {name: read_feature(connection, name).standing for name in names}
    limited = {name: each.in_force for name, each in standing.items() if each.in_force is not None}
    # The remote first: it may take long, and no transaction should wait for it.
    answers = {
        name: NOT_ASKED if file is None else look_in_git(file, name, override)
        for name, override in limited.items()
    }
    with read_only_transaction(database) as connection:
        return tuple(
            _verify(connection, name, override, fallback, answers[name])
            for name, override in limited.items()
        )


def look_in_git(file: Path, feature: str, override: Override) -> GitAnswer:
    """Return whether the remote's branch has an override, by a fresh fetch."""
    try:
        checkout = find_checkout(file)
        remote = checkout.choose_remote(None)
        with quarantine(checkout, remote) as place:
            branch = rollout_branch(checkout, place)
            tip = read_tip(place, branch)
            was_there = trace_blocks(place, tip, [override.id])[override.id].was_there
    except CannotWriteBack as problem:
        return GitAnswer(CheckStatus.NOT_YET, str(problem))
    where = f"{remote.name}/{branch} at {short_commit(tip.commit)}"
    found = tip.document.rollout.features.get(feature)
    block = None if found is None else found.override
    if block is not None and block.id == override.id:
        if limit_of(block) == limit_of(override):
            return GitAnswer(CheckStatus.OK, f"{where} has it")
        return GitAnswer(
            CheckStatus.FAILED,
            f"{where} has it with {describe_limit(block.percentage)}; an apply of that commit changes it",
        )
    if was_there:
        # Write-back does not bring it back: the next apply ends it.
        return GitAnswer(
            CheckStatus.FAILED,
            f"{where} no longer has it; an apply of that commit resumes the feature",
        )
    return GitAnswer(CheckStatus.NOT_YET, f"{where} does not have it")


def _verify(
    connection: "AnyConnection", name: str, override: Override, fallback: str | None, git: GitAnswer
) -> Verified:
    found = read_feature(connection, name)
    facts = read_rollback_facts(
        connection, found, override, fallback=fallback or found.fallback, git=git
    )
    seconds = (found.now - override.at).total_seconds()
    return Verified(name, override, seconds, verify_rollback(facts))
