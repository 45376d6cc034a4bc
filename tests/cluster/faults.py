"""The faults of the contract, each a function that makes it and lets the cluster recover."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.cluster.servers import Cluster, Node, wait_for

ELECTION_SECONDS: Final = 120


@dataclass(frozen=True)
class Fault:
    """One fault, and when it happens."""

    name: str
    make: Callable[[Cluster], None]
    at: str | None = None
    """The act during which it happens: `stop`, `apply`, `record`; None for between acts."""
    statement: int = 0
    """Before which statement of that act; 0 is its COMMIT."""
    is_synchronous: bool = True
    hangs: bool = False
    """Whether the way of the listening client hangs."""
    loses_answer: bool = False
    """Whether the answer to the next COMMIT of a record is lost."""


def nothing(cluster: Cluster) -> None:
    """Make no fault of a server."""


def kill_primary(cluster: Cluster) -> None:
    """End the primary's machine."""
    cluster.end_primary(cluster.primary())


def freeze_primary(cluster: Cluster) -> None:
    """Stop the primary's machine until another server is the primary, then let it go on."""
    primary = cluster.primary()
    primary.freeze()
    _wait_for_another(cluster, primary)
    primary.thaw()


def cut_from_etcd(cluster: Cluster) -> None:
    """Cut the primary from every etcd until another server is the primary."""
    primary = cluster.primary()
    for relay in primary.etcd:
        relay.cut()
    _wait_for_another(cluster, primary)
    for relay in primary.etcd:
        relay.mend()


def cut_from_standbys(cluster: Cluster) -> None:
    """Cut the standbys from the primary for some seconds; with a synchronous standby, writes wait."""
    primary = cluster.primary()
    primary.replication.cut()
    time.sleep(6)
    primary.replication.mend()


def cut_and_kill(cluster: Cluster) -> None:
    """Cut the standbys from the primary, let clients write, then end the primary's machine.

    Its Patroni hangs, so that it does not choose another synchronous standby: a standby takes over.
    """
    primary = cluster.primary()
    primary.freeze_patroni()
    primary.replication.cut()
    time.sleep(3)
    cluster.end_primary(primary)


def cut_write_and_kill(cluster: Cluster) -> None:
    """Cut the standbys from the primary for long enough to write stops to git, then end its machine."""
    primary = cluster.primary()
    primary.replication.cut()
    time.sleep(12)
    cluster.end_primary(primary)


def switch_over(cluster: Cluster) -> None:
    """Let another server become the primary."""
    cluster.switch_over()


def kill_synchronous_then_primary(cluster: Cluster) -> None:
    """End the synchronous standby's machine, then the primary's; both come back."""
    primary, standby = cluster.primary(), cluster.standbys()[0]
    standby.kill()
    cluster.end_primary(primary)
    time.sleep(5)
    standby.start()
    primary.start()


def lose_quorum(cluster: Cluster) -> None:
    """End two of three etcd; they come back after the lease of the primary."""
    for each in cluster.etcds[:2]:
        each.kill()
    time.sleep(15)
    for each in cluster.etcds[:2]:
        each.start()


def kill_and_return(cluster: Cluster) -> None:
    """End the primary's machine, start it again when another is the primary, and end that one too."""
    old = cluster.primary()
    cluster.end_primary(old)
    _wait_for_another(cluster, old)
    old.start()
    cluster.wait_until_whole(ELECTION_SECONDS)
    cluster.end_primary(cluster.primary())


def _wait_for_another(cluster: Cluster, old: Node) -> None:
    wait_for(
        lambda: cluster.primary_or_none(old) is not None,
        ELECTION_SECONDS,
        "no other server became the primary",
    )


def faults(turn: int) -> list[Fault]:
    """Return the faults of the contract; each turn kills at the next statements of an act."""
    first, later = 1 + turn % 4, 5 + turn % 12
    return [
        Fault("asynchronous: acts lost", cut_write_and_kill, is_synchronous=False),
        Fault("the client's connection half-open", nothing, hangs=True),
        Fault("primary cut from etcd", cut_from_etcd),
        Fault("primary cut from its standbys", cut_from_standbys),
        Fault("primary cut from its standbys, then killed", cut_and_kill),
        Fault("synchronous standby killed, then the primary", kill_synchronous_then_primary),
        Fault("etcd without quorum", lose_quorum),
        Fault("switchover during a stop", switch_over, "stop", first),
        Fault("old primary back, new one killed", kill_and_return),
        Fault("switchover during an apply", switch_over, "apply", later),
        Fault(f"primary killed at statement {first} of a stop", kill_primary, "stop", first),
        Fault("primary killed at the COMMIT of a stop", kill_primary, "stop"),
        Fault("switchover", switch_over),
        Fault(f"primary killed at statement {first} of an apply", kill_primary, "apply", first),
        Fault(f"primary killed at statement {later} of an apply", kill_primary, "apply", later),
        Fault("primary killed at the COMMIT of an apply", kill_primary, "apply"),
        Fault("primary killed while jobs are recorded", kill_primary, "record"),
        Fault("the answer to COMMIT lost", nothing, loses_answer=True),
        Fault("the answer to COMMIT lost, primary killed", kill_primary, loses_answer=True),
        Fault("primary frozen", freeze_primary),
    ]
