"""Write-back: overrides of the database become commits, each with its reason.

A pass reads what is pending, edits the file of the branch's tip, commits, pushes without force, and
believes only what a fresh look at the branch shows. Killed anywhere and started again, it finds in the
branch's history what it had done. A limit is in force, whatever the result.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from reconciler.database import lease as leases
from reconciler.database.lease import Lease, LeaseLost
from reconciler.database.schema import require_newest
from reconciler.database.transactions import Database, read_only_transaction
from reconciler.database.write_back import StandingFeature, read_standing
from reconciler.git.checkout import CannotWriteBack, check_branch, find_checkout
from reconciler.git.quarantine import NETWORK_TIMEOUT_SECONDS, quarantine
from reconciler.git.rollout_branch import rollout_branch
from reconciler.git.write_back import Publish, publish_by_push
from reconciler.operations.write_back_pass import Outcome, Pass, Propose, WrittenBack
from rollout_client.backoff import with_jitter

__all__ = ["Outcome", "Propose", "WriteBackReport", "WrittenBack", "write_back"]

LEASE: Final = "write-back"
LEASE_LENGTH: Final = timedelta(seconds=3 * NETWORK_TIMEOUT_SECONDS + 10)
"""Longer than two commands that talk to a remote take, with what is between: a live holder renews in time."""
LEASE_POLL_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class WriteBackReport:
    """What a pass did."""

    remote: str | None = None
    branch: str | None = None
    overrides: tuple[WrittenBack, ...] = ()
    problem: str | None = None
    """What kept the pass from doing anything, or from going on."""

    @property
    def pending(self) -> tuple[WrittenBack, ...]:
        """The overrides that are not in git yet."""
        return tuple(each for each in self.overrides if each.outcome is Outcome.PENDING)


def write_back(
    database: Database,
    file: Path,
    *,
    remote: str | None = None,
    branch: str | None = None,
    propose: Propose | None = None,
    publish: Publish = publish_by_push,
    patience: timedelta = LEASE_LENGTH,
) -> WriteBackReport:
    """Write back every override that git has to have and lacks; return what became of each.

    A remote that cannot be reached, a branch that takes no pushes, no git at all: each leaves overrides
    pending, and the report says so.

    Args:
        database: where the overrides are.
        file: the rollout file in a checkout, which stays as it is.
        remote: the remote; by default the upstream's, else `origin`.
        branch: the branch; by default the rollout's (`rollout_branch`).
        propose: what proposes a branch that was pushed where the rollout's own takes no pushes.
        publish: what makes the commits on the remote's branch.
        patience: how long to wait for another pass to end.

    Raises:
        NotFound: there is no such remote.
        SetupInvalid: that is not a branch's name, or the database's schema is another.
        Unavailable: the database does not answer.
    """
    with read_only_transaction(database) as connection:
        require_newest(connection)
        standing = read_standing(connection)
    if not standing:
        return WriteBackReport()
    target: tuple[str | None, str | None] = (remote, branch)
    try:
        checkout = find_checkout(file)
        chosen = checkout.choose_remote(remote)
        if branch is not None:
            check_branch(checkout.repository, branch)
        target = (chosen.name, branch)
        with _lease(database, patience) as lease, quarantine(checkout, chosen) as place:
            target = (chosen.name, branch or rollout_branch(checkout, place))
            return WriteBackReport(
                *target, Pass(database, lease, place, target[1], propose, publish).run()
            )
    except (CannotWriteBack, LeaseLost) as problem:
        return WriteBackReport(*target, tuple(_left(standing)), str(problem))


@contextmanager
def _lease(database: Database, patience: timedelta) -> Iterator[Lease]:
    """Hold the lease, as soon as its holder is done or killed."""
    deadline = time.monotonic() + patience.total_seconds()
    while True:
        with leases.held(database, LEASE, LEASE_LENGTH) as lease:
            if lease is not None:
                yield lease
                return
        if time.monotonic() >= deadline:
            holder = leases.read_holder(database, LEASE)
            at_work = "another process" if holder is None else holder.name
            raise LeaseLost(
                f"{at_work} is writing back; the next pass writes back the pending overrides"
            )
        time.sleep(with_jitter(LEASE_POLL_SECONDS))


def _left(standing: Sequence[StandingFeature]) -> Iterator[WrittenBack]:
    for feature in standing:
        for override in feature.pending:
            yield WrittenBack(feature.name, override, Outcome.PENDING)
