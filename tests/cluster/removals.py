"""Rules 1 to 5 of the page on availability, each taken away once: a round without it must break a promise.

Rules 6 and 7, what a replica may answer and which servers are refused, need no fault: they have tests of their own.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Final

from reconciler.watching import lineage
from rollout_client import follower
from tests.cluster.faults import Fault, cut_and_kill, cut_write_and_kill, kill_primary, nothing
from tests.cluster.rounds import NOTHING_REMOVED, Removal


@dataclass(frozen=True)
class RemovedRule:
    """A rule, how it is taken away, and the promise that its round breaks."""

    rule: str
    fault: Fault
    expected: str
    """Part of the checker's sentence."""
    removal: Removal = NOTHING_REMOVED
    patch: Callable[[], Callable[[], None]] | None = None
    """Changes the program, and returns how to change it back."""


def _forget_lineage() -> Callable[[], None]:
    return _replace(lineage, "read_lineages", lambda _connection: None)


def _wait_for_silent_connections() -> Callable[[], None]:
    restore = [
        _replace(follower, "PING_EVERY_SECONDS", 3600.0),
        # The fault can come in the middle of a read, which has a limit of its own.
        _replace(follower, "FEATURES_PATIENCE_SECONDS", 3600.0),
    ]

    def restore_both() -> None:
        for each in restore:
            each()

    return restore_both


def _replace(module: ModuleType, name: str, value: object) -> Callable[[], None]:
    before = getattr(module, name)
    setattr(module, name, value)
    return lambda: setattr(module, name, before)


def _commit_locally(statement: str) -> str:
    return statement.replace("'synchronous_commit', 'on'", "'synchronous_commit', 'local'")


REMOVALS: Final = (
    RemovedRule(
        "1, an outcome is asked of our own row",
        Fault("the answer to COMMIT lost", nothing, loses_answer=True),
        "jobs are there",
        Removal(
            sql="""
            CREATE OR REPLACE FUNCTION public.claim_rollout_write(
                write_id uuid, write_number bigint, keep_for interval
            ) RETURNS boolean LANGUAGE sql AS 'SELECT true'
        """
        ),
    ),
    RemovedRule(
        "2, a switchover is waited for",
        Fault("primary killed", kill_primary),
        "ended with an error",
        Removal(patience_seconds=0.0),
    ),
    RemovedRule(
        "3, acts are durable where they can be",
        Fault("primary cut from its standbys, then killed", cut_and_kill),
        "is lost",
        Removal(
            sql="""
                DO $$ BEGIN
                    EXECUTE format('ALTER DATABASE %I SET synchronous_commit = local', current_database());
                END $$
            """,
            statement=_commit_locally,
        ),
        _forget_lineage,
    ),
    RemovedRule(
        "4, git is the second witness",
        Fault("asynchronous: acts lost", cut_write_and_kill, is_synchronous=False),
        "is lost",
        patch=_forget_lineage,
    ),
    RemovedRule(
        "5, listeners live",
        Fault("the client's connection half-open", nothing, hangs=True),
        "still answers with yes",
        patch=_wait_for_silent_connections,
    ),
)


@contextmanager
def removed(rule: RemovedRule) -> Iterator[None]:
    """Take a rule away for one round."""
    restore = None if rule.patch is None else rule.patch()
    try:
        yield
    finally:
        if restore is not None:
            restore()
