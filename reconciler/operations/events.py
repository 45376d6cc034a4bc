"""Events as values. An operation emits an event after its transaction is committed (`listeners`)."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.operations.write_back_pass import WrittenBack
    from reconciler.planning.plan import Plan
    from reconciler.rollout_file.override import Override


class Subject(StrEnum):
    """A part of the watch that can fail while the other parts go on."""

    TICK = "tick"
    """Judging and rolling back; it depends on the database."""
    WRITE_BACK = "write-back"
    FOLLOW = "follow"
    NOTIFICATIONS = "notifications"
    """Changes notify clients; without that they poll."""
    DELIVERY = "delivery"
    """Messages reach the receivers of notifications."""
    COUNTS = "counts"
    """Eligible repositories are counted after changes; without that the shown counts get older."""


@dataclass(frozen=True, slots=True)
class BecameActive:
    """This process holds the lease of the watch from now on."""


@dataclass(frozen=True, slots=True)
class StandsBy:
    """Another process holds the lease of the watch."""

    holder: str


@dataclass(frozen=True, slots=True)
class RolledBack:
    """The safeguard limited a failing feature."""

    feature: str
    override: "Override | None"
    """The override now in force; it may be an earlier one."""
    error_rate: float | None
    """In percent; None without jobs."""
    jobs: int
    """Of the processor that is judged."""
    errors: int
    evidence: float | None = None
    """None under the method `threshold`."""


@dataclass(frozen=True, slots=True)
class EvidenceRose:
    """The verdict on a feature is `warn` from now on: the safeguard may act soon."""

    feature: str
    evidence: float
    fails_at: float
    sentence: str


@dataclass(frozen=True, slots=True)
class SharedOutage:
    """A feature fails on both processors from now on: nothing was rolled back, since it would not help."""

    feature: str
    sentence: str


@dataclass(frozen=True, slots=True)
class LimitRestored:
    """The safeguard enforced a limit that the live state had exceeded."""

    feature: str
    override: "Override | None"


class Witness(StrEnum):
    """Where an override that the database lost was found."""

    GIT = "git"
    WATCH = "watch"


@dataclass(frozen=True, slots=True)
class OverrideRestored:
    """An override that a failover or a restore of the database lost is in force again."""

    feature: str
    override: "Override"
    witness: Witness


@dataclass(frozen=True, slots=True)
class WroteBack:
    """Write-back has a new result for an override that was not in git."""

    remote: str | None
    branch: str | None
    written: "WrittenBack"


@dataclass(frozen=True, slots=True)
class CommitApplied:
    """A commit of the followed branch was applied."""

    commit: str
    plan: "Plan"
    generation: int


@dataclass(frozen=True, slots=True)
class CommitNotApplied:
    """A commit of the followed branch cannot be applied, or not yet."""

    commit: str
    why: str
    is_held: bool = False
    """Whether a person must decide about drift first."""


@dataclass(frozen=True, slots=True)
class FreezeOverridden:
    """A person widened a feature while a freeze held it."""

    feature: str
    freeze: str
    """Which freezes, and until when they hold, in a sentence."""
    reason: str
    by: str
    generation: int


@dataclass(frozen=True, slots=True)
class PromotionReady:
    """A stage has soaked in good health, and the next one can be applied."""

    feature: str
    percentage: Decimal
    """Of the next stage."""
    generation: int
    """The newest generation."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A part of the watch began to fail, or fails for another reason; it is retried."""

    subject: Subject
    why: str
    cause: Exception


@dataclass(frozen=True, slots=True)
class Recovered:
    """A part of the watch that failed succeeds again."""

    subject: Subject


Event = (
    BecameActive
    | StandsBy
    | RolledBack
    | EvidenceRose
    | SharedOutage
    | LimitRestored
    | OverrideRestored
    | WroteBack
    | CommitApplied
    | CommitNotApplied
    | FreezeOverridden
    | PromotionReady
    | Failed
    | Recovered
)
