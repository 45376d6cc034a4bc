"""The machinery of a rollout: the watch's lease, the server and its replicas, sessions, schema, generation.

Reads in the caller's transaction and writes nothing. A value that the account may not see is None,
and the page names the missing right.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from reconciler.database.driver import execute
from reconciler.database.lease import WATCH_LEASE, may_read_leases
from reconciler.database.notifications import read_queue_usage
from reconciler.database.queries import queries
from reconciler.database.schema import current_revision
from reconciler.database.schema_objects import find_differences
from reconciler.database.server import has_synchronous_standby

if TYPE_CHECKING:
    from reconciler.database.driver import AnyConnection

_SQL = queries("machinery")

CLIENT_PROGRAM: Final = "reconcile-client"
"""The name with which clients connect."""
_MOST_PROGRAMS: Final = 20


@dataclass(frozen=True, slots=True)
class WatchLease:
    """The lease of the watch."""

    holder: str
    until: datetime
    last_tick: datetime | None
    """When the last tick succeeded; None where no watch of this release has recorded one."""
    is_held: bool
    """False where it ended without a successor."""


@dataclass(frozen=True, slots=True)
class Server:
    """The server of the database."""

    version: str
    is_replica: bool
    started_at: datetime
    synchronous_names: str
    """The replicas for which a COMMIT waits; empty where it waits for none."""
    has_synchronous_standby: bool
    """Whether a COMMIT waits for a second server."""


@dataclass(frozen=True, slots=True)
class Replica:
    """A replica that is connected."""

    name: str
    state: str | None
    """None where the account may not see it. The lag is also None where nothing was written lately."""
    sync_state: str | None
    lag: timedelta | None


@dataclass(frozen=True, slots=True)
class Sessions:
    """The sessions of one program."""

    program: str
    sessions: int


@dataclass(frozen=True, slots=True)
class AppliedState:
    """The newest generation."""

    generation: int
    applied_commit: str | None
    applied_at: datetime | None
    file: str | None
    applied_by: str | None


@dataclass(frozen=True, slots=True)
class Machinery:
    """The processes and servers that run the rollout."""

    now: datetime
    lease: WatchLease | None
    """None where no watch has ever held it."""
    may_read_leases: bool
    counted_until: datetime | None
    """The end of the newest window of jobs that a watch has counted; None where it has counted none."""
    server: Server
    replicas: Sequence[Replica]
    sessions: Sequence[Sessions]
    applied: AppliedState
    notification_queue: float
    """In percent."""
    schema: str | None
    differences: Sequence[str]
    """The differences from the schema of this release, each as a sentence."""

    @property
    def clients(self) -> int:
        """The sessions of clients; each client listens on one."""
        return sum(each.sessions for each in self.sessions if each.program == CLIENT_PROGRAM)


def read_machinery(connection: "AnyConnection") -> Machinery:
    """Return the state of the machinery."""
    server = execute(connection, _SQL["database"]).one()
    can_read_leases = may_read_leases(connection)
    lease = None
    if can_read_leases:
        row = execute(connection, _SQL["lease"], {"name": WATCH_LEASE}).one_or_none()
        lease = None if row is None else WatchLease(**row._asdict())
    replicas = execute(connection, _SQL["replicas"])
    sessions = execute(connection, _SQL["sessions"], {"most": _MOST_PROGRAMS})
    state = execute(connection, _SQL["state"]).one()
    return Machinery(
        now=server.now,
        lease=lease,
        may_read_leases=can_read_leases,
        counted_until=execute(connection, _SQL["counted_until"]).scalar(),
        server=Server(
            server.version,
            server.is_replica,
            server.started_at,
            server.synchronous_names,
            has_synchronous_standby(connection),
        ),
        replicas=tuple(Replica(**row._asdict()) for row in replicas),
        sessions=tuple(Sessions(**row._asdict()) for row in sessions),
        applied=AppliedState(**state._asdict()),
        notification_queue=read_queue_usage(connection),
        schema=current_revision(connection),
        differences=tuple(find_differences(connection)),
    )
