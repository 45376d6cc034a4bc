"""The inputs of a plan beside the file: the live state, the last apply, and git's history."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from reconciler.planning.approval_rule import read_rule
from reconciler.planning.desired import stored_thresholds
from reconciler.planning.drift import AudienceChange
from reconciler.planning.feature_config import Configuration, from_state
from reconciler.planning.freezes import read_freezes
from reconciler.planning.live_state import Live, names_among
from reconciler.planning.overrides import Trace, without_override
from reconciler.rollout_file.approvals import Approvals
from reconciler.rollout_file.freezes import Freeze
from rollout_client.targeting.categories import Category, Threshold

if TYPE_CHECKING:
    from reconciler.planning.stages import Soaking


@dataclass(frozen=True, slots=True)
class Source:
    """The file that a plan was made from; recorded with every apply."""

    file: str
    """The path as the user gave it."""
    digest: str
    """`sha256:` and the digest of the file's bytes."""
    commit: str | None
    """The commit of HEAD; None in a folder without git, or without a commit yet."""
    uncommitted: bool
    """Whether the file differs from that commit's."""
    subject: str | None
    """The first line of the newest commit that changed the file: the reason for its state."""
    found_at: str | None = None
    """The path of the file in the history of its commit, if it is not `file`."""

    @property
    def place(self) -> str:
        """The path of the file."""
        return self.found_at or self.file

    @property
    def reason(self) -> str:
        """The reason for the change, as far as git shows it."""
        if self.uncommitted:
            return f"applied {self.file} with uncommitted changes"
        if self.commit is None:
            return f"applied {self.file}"
        return self.subject or f"applied {self.file}"


@dataclass(frozen=True, slots=True)
class AppliedFeature:
    """One feature as the last apply found it in the file."""

    desired: Configuration
    """With names as keys, and no override in force."""
    override: UUID | None
    """The override that the file had then."""
    excluded_names: Mapping[str, str] = field(default_factory=dict)
    """The names among its exclusions: `owner/name` in lower case → its id then."""


@dataclass(frozen=True, slots=True)
class LastApplied:
    """The desired state that the last apply stored."""

    features: Mapping[str, AppliedFeature]
    names: Mapping[str, str] = field(default_factory=dict)
    """`owner/name` in lower case → its id then."""
    marks: frozenset[str] | None = None
    """The ids that it marked as test; None without an apply that stored them."""
    listed_as_test: frozenset[str] = frozenset()
    """The ids of the repositories that its file named as test, without those of `owner/*`."""
    thresholds: Mapping[Category, Threshold] | None = None
    """The thresholds of categories that it wrote; None without an apply that stored them."""
    freezes: tuple[Freeze, ...] = ()
    approvals: Approvals | None = None
    """The rule of approvals; None without one."""
    approved: Mapping[str, Any] = field(default_factory=dict)
    """By feature: who approved its last widening, as JSON."""


def read_generation(desired: Mapping[str, Any], effective: Mapping[str, Any]) -> LastApplied:
    """Return what an apply of any release stored as JSON; an absent key has its default.

    Args:
        desired: the file's content, without defaults.
        effective: the state from the file and the overrides in force.
    """
    declared = desired.get("features", {})
    marks = effective.get("test_repositories")
    names = effective.get("names", {})
    thresholds = effective.get("categories")
    listed_as_test = names_among(desired.get("test_repositories", ()), names)
    return LastApplied(
        features={
            name: _read_feature(name, declared.get(name), state, names)
            for name, state in effective.get("features", {}).items()
        },
        names=names,
        marks=None if marks is None else frozenset(marks),
        listed_as_test=frozenset(listed_as_test.values()),
        thresholds=None if thresholds is None else stored_thresholds(thresholds),
        freezes=read_freezes(desired.get("freezes")),
        approvals=read_rule(desired.get("approvals")),
        approved=effective.get("approved", {}),
    )


def _read_feature(
    name: str,
    declared: Mapping[str, Any] | None,
    state: Mapping[str, Any],
    names: Mapping[str, str],
) -> AppliedFeature:
    override = (declared or {}).get("override")
    return AppliedFeature(
        desired=without_override(from_state(name, state), declared),
        override=None if override is None else UUID(override["id"]),
        excluded_names=names_among((declared or {}).get("exclusions", ()), names),
    )


NOTHING_APPLIED: Final = LastApplied(features={})


@dataclass(frozen=True, slots=True)
class PlanInputs:
    """All inputs of a plan except the file."""

    live: Live
    applied: LastApplied = NOTHING_APPLIED
    traces: Mapping[UUID, Trace] = field(default_factory=dict)
    """The traces of the ids of overrides in git's history; empty without git."""
    audience: Mapping[str, Mapping[str, AudienceChange]] = field(default_factory=dict)
    """By feature and field: the effect of drift whose direction only the audience shows."""
    soaking: "Mapping[str, Soaking]" = field(default_factory=dict)
    """By feature: its health and soak, for features whose percentage would increase over a stage."""

    def trace(self, feature: str, override: UUID, in_file: UUID | None) -> Trace | None:
        """Return the trace of an override's id in the file, by git or by the last apply.

        An id that the last apply saw in the file was there, even if git does not show it. Without
        git nothing else is known, and a row counts how often its block was seen to appear. None if
        git was not asked.
        """
        known = self.traces.get(override)
        if known is not None and known.was_there:
            return known
        applied = self.applied.features.get(feature)
        is_there = in_file == override
        if applied is not None and applied.override == override:
            return Trace(was_there=True, removals=0 if is_there else 1)
        if self.traces:
            return known
        seen = self._removals(feature, override)
        # Without git only people write a block into the file.
        return Trace(was_there=is_there or seen > 0, removals=seen + 1 if is_there else seen)

    def _removals(self, feature: str, override: UUID) -> int:
        found = self.live.features.get(feature)
        rows = () if found is None else found.overrides
        return next((row.removals for row in rows if row.id == override), 0)
