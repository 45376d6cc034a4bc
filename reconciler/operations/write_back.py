"""Write-back: overrides of the database become commits, each with its reason.

A pass reads the pending overrides, edits the file of the branch's tip, commits and pushes without
force. Only a fresh fetch of the branch counts as proof. After a kill at any point, the next pass
finds the finished work in the branch's history. A limit is in force with any result.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from reconciler.database import lease as leases
from reconciler.database.lease import WRITE_BACK_LEASE, Lease, LeaseLost
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

LEASE_LENGTH: Final = timedelta(seconds=3 * NETWORK_TIMEOUT_SECONDS + 10)
"""Longer than two commands with a remote and the work between them, so a running holder renews in time."""
LEASE_POLL_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class WriteBackReport:
    """The result of a pass."""

    remote: str | None = None
    branch: str | None = None
    overrides: tuple[WrittenBack, ...] = ()
    problem: str | None = None
    """The reason why the pass did nothing, or did not continue."""

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
    """Write back every override that git must have and lacks; return the outcome of each.

    If a remote cannot be reached, a branch accepts no pushes, or there is no git, overrides stay
    pending, and the report has the reason.

    Args:
        database: the rollout's database.
        file: the rollout file in a checkout, which is not changed.
        remote: the remote; by default the upstream's, else `origin`.
        branch: the branch; by default the rollout's (`rollout_branch`).
        propose: proposes a branch that was pushed because the rollout's own accepts no pushes.
        publish: makes the commits on the remote's branch.
        patience: how long to wait for another pass to end.

    Raises:
        NotFound: there is no such remote.
        SetupInvalid: the branch's name is invalid, or the database has another schema.
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
    """Take the lease, as soon as its holder has released it or was killed."""
    deadline = time.monotonic() + patience.total_seconds()
    while True:
        with leases.held(database, WRITE_BACK_LEASE, LEASE_LENGTH) as lease:
            if lease is not None:
                yield lease
                return
        if time.monotonic() >= deadline:
            holder = leases.read_holder(database, WRITE_BACK_LEASE)
            at_work = "another process" if holder is None else holder.name
            raise LeaseLost(
                f"{at_work} is writing back; the next pass writes back the pending overrides"
            )
        time.sleep(with_jitter(LEASE_POLL_SECONDS))


def _left(standing: Sequence[StandingFeature]) -> Iterator[WrittenBack]:
    for feature in standing:
        for override in feature.pending:
            yield WrittenBack(feature.name, override, Outcome.PENDING)
