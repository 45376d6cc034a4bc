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

from reconciler.backoff import with_jitter
from reconciler.database import lease as leases
from reconciler.database.lease import Lease, LeaseLost
from reconciler.database.schema import require_newest
from reconciler.database.transactions import Database, read_only_transaction
from reconciler.database.write_back import PendingFeature, read_pending
from reconciler.errors import SetupInvalid
from reconciler.git.checkout import CannotWriteBack, Checkout, check_branch, find_checkout
from reconciler.git.quarantine import NETWORK_TIMEOUT_SECONDS, Quarantine, quarantine
from reconciler.operations.write_back_pass import Outcome, Pass, Propose, WrittenBack

__all__ = ["Outcome", "Propose", "WriteBackReport", "WrittenBack", "default_branch", "write_back"]

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
    patience: timedelta = LEASE_LENGTH,
) -> WriteBackReport:
    """Write back every override that git is not known to have yet; return what became of each.

    A remote that cannot be reached, a branch that takes no pushes, no git at all: each leaves overrides
    pending, and the report says so.

    Args:
        database: where the overrides are.
        file: the rollout file in a checkout, which stays as it is.
        remote: the remote; by default the upstream's, else `origin`.
        branch: the branch; by default the upstream, else the remote's default branch.
        propose: what proposes a branch that was pushed where the rollout's own takes no pushes.
        patience: how long to wait for another pass to end.

    Raises:
        NotFound: there is no such remote.
        SetupInvalid: that is not a branch's name, or the database's schema is another.
        Unavailable: the database does not answer.
    """
    with read_only_transaction(database) as connection:
        require_newest(connection)
        pending = read_pending(connection)
    if not pending:
        return WriteBackReport()
    target: tuple[str | None, str | None] = (remote, branch)
    try:
        checkout = find_checkout(file)
        chosen = checkout.choose_remote(remote)
        if branch is not None:
            check_branch(checkout.repository, branch)
        target = (chosen.name, branch)
        with _lease(database, patience) as lease, quarantine(checkout, chosen) as place:
            target = (chosen.name, branch or default_branch(checkout, place))
            return WriteBackReport(*target, Pass(database, lease, place, target[1], propose).run())
    except (CannotWriteBack, LeaseLost) as problem:
        return WriteBackReport(*target, tuple(_left(pending)), str(problem))


def default_branch(checkout: Checkout, place: Quarantine) -> str:
    """Return the branch to write to where none is named: the upstream, else the remote's default.

    Raises:
        CannotWriteBack: the remote does not answer, or has no default branch.
    """
    if checkout.upstream is not None and checkout.upstream.remote == place.remote.name:
        found = checkout.upstream.branch
    else:
        found = place.default_branch()
    try:
        return check_branch(checkout.repository, found)
    except SetupInvalid as error:
        raise CannotWriteBack(str(error)) from None


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


def _left(pending: Sequence[PendingFeature]) -> Iterator[WrittenBack]:
    for feature in pending:
        for override in feature.pending:
            yield WrittenBack(feature.name, override, Outcome.PENDING)
