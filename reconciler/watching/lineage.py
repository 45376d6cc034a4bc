"""The lineage of the server in the watch: after a failover or a restore, lost overrides are put back.

The watcher's own memory comes first, in the tick, before any feature is judged. Git comes in the next
pass of the thread that talks to the remote, before that thread writes back or applies anything. The
new lineage is recorded when both are compared, so a watcher that is killed in between leaves the rest to
its successor.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.database import lease as leases
from reconciler.database.lease import WRITE_BACK_LEASE, Lease
from reconciler.database.lineage import Lineage, read_lineages, record_lineage
from reconciler.database.transactions import Database, read_only_transaction
from reconciler.errors import Unavailable
from reconciler.operations.events import Witness
from reconciler.operations.listeners import Emit
from reconciler.operations.lost_overrides import put_back_lost, read_branch_overrides
from reconciler.rollout_file.override import Override
from reconciler.watching.followed_branch import FollowedBranch

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection


@dataclass(slots=True)
class LineageWatch:
    """What one watcher knows of the server's log, and of the overrides that were in force."""

    lease: Lease
    file: Path
    followed: FollowedBranch | None
    confirm: Callable[[], None]
    """Called before anything is written; raises if this process is not the leader."""
    emit: Emit
    _seen: Lineage | None = None
    """The server's at the last look."""
    _in_force: dict[str, Override] = field(default_factory=dict)
    """By feature, at the last tick of this process."""
    _new: Lineage | None = None
    """The server's, if git was not compared with its overrides yet."""

    @property
    def database(self) -> Database:
        """The rollout's database."""
        return self.lease.database

    @property
    def new(self) -> Lineage | None:
        """The server's lineage while git is still to be compared with its overrides, or None."""
        return self._new

    def look(self) -> None:
        """Put back the overrides of this process's memory if the server's log is another one.

        Raises:
            ReconcilerError: the database refused; the next look tries again.
        """
        with read_only_transaction(self.database) as connection:
            found = read_lineages(connection)
        if found is None:
            return
        is_another = self._seen not in {None, found.present}
        if is_another:
            put_back_lost(self.database, self._in_force, Witness.WATCH, self.emit)
        self._seen = found.present
        # The server may have lost the row of the lease too.
        if is_another or found.recorded not in {None, found.present}:
            self._new = found.present
        elif found.recorded is None:
            record_lineage(self.lease, found.present)

    def look_on_standby(self) -> None:
        """Put back what this process saw when it was the leader: its successor cannot know of it."""
        if self._in_force:
            self.look()
            self._new = None

    def require_same(self, connection: "AnyConnection") -> None:
        """Refuse a transaction on another server than the last look's.

        Raises:
            Unavailable: the server is another one; the next look puts back what it lost.
        """
        if self._seen is None:
            return
        found = read_lineages(connection)
        if found is not None and found.present != self._seen:
            raise Unavailable("another server answers since this tick began")

    def require_compared(self, connection: "AnyConnection") -> None:
        """Refuse a transaction on a server whose overrides were not compared with git yet.

        Raises:
            Unavailable: the next look and the next pass put back first what the server lost.
        """
        self.require_same(connection)
        if self._new is not None:
            raise Unavailable("another server answers, and git was not compared with it yet")

    def note(self, in_force: Mapping[str, Override | None]) -> None:
        """Remember the overrides in force after a tick; a feature without one has None."""
        self._in_force |= {name: each for name, each in in_force.items() if each is not None}
        for name, override in in_force.items():
            if override is None:
                self._in_force.pop(name, None)

    def compare_with_git(self) -> None:
        """Put back the overrides that the branch has and the server lost, and record the server's lineage.

        Another process can write back at once: no lease of a former server is waited for.

        Raises:
            CannotWriteBack: the remote does not answer; the next pass tries again.
            ReconcilerError: the database refused.
        """
        new = self._new
        if new is None:
            return
        target = self.followed
        overrides = read_branch_overrides(
            self.file,
            remote=None if target is None else target.remote,
            branch=None if target is None else target.branch,
        )
        self.confirm()
        put_back_lost(self.database, overrides, Witness.GIT, self.emit)
        # The former server can have lost the release of this lease.
        leases.end(self.database, WRITE_BACK_LEASE)
        record_lineage(self.lease, new)
        if self._new == new:
            self._new = None
