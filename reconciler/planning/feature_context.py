"""One feature before the file is compared: the expected state, the live state, and their difference."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Self
from uuid import UUID

from reconciler.planning.drift import (
    Decision,
    Drift,
    fields_judged_by_audience,
    find_drift,
    kept_override,
    with_adopted,
    without_drift,
)
from reconciler.planning.feature_config import Configuration, ScalarField
from reconciler.planning.live_state import LiveFeature
from reconciler.planning.overrides import OverrideState, effective, limit_of
from reconciler.planning.plan_inputs import AppliedFeature, PlanInputs
from reconciler.rollout_file.override import Override


@dataclass(frozen=True, slots=True)
class FeatureContext:
    """One feature before the file is compared."""

    name: str
    inputs: PlanInputs
    found: LiveFeature | None
    applied: AppliedFeature | None

    @classmethod
    def of(cls, name: str, inputs: PlanInputs) -> Self:
        """Return the context of one feature, live or not."""
        return cls(name, inputs, inputs.live.features.get(name), inputs.applied.features.get(name))

    @property
    def live(self) -> Configuration | None:
        """The live configuration; None for a new feature."""
        return None if self.found is None else self.found.configuration

    @property
    def limit(self) -> Override | None:
        """The override in force in the database."""
        rows = () if self.found is None else self.found.overrides
        return next((row.override for row in rows if row.state is OverrideState.ON), None)

    @property
    def expected(self) -> Configuration | None:
        """The expected live state: the last applied state under the override in force since then."""
        if self.found is None or self.applied is None:
            return None
        live = self.found.configuration
        expected = effective(self.applied.desired, self.limit, live)
        names = self.inputs.live.directory.excluded_names(
            self.applied.excluded_names, expected.exclusions, live.exclusions
        )
        return replace(expected, exclusions=expected.exclusions | names)

    @property
    def drift(self) -> tuple[Drift, ...]:
        """How the live configuration differs from the expected one."""
        if self.found is None:
            return ()
        live, audience = self.found.configuration, self.inputs.audience.get(self.name, {})
        if self.applied is None:
            # Before the first apply SQL may change the feature; only a narrowing needs a person's decision.
            adopted = self.found.adopted
            found = () if adopted is None else find_drift(adopted, live, audience)
            return tuple(each for each in found if each.decision is Decision.HOLD)
        return () if self.expected is None else find_drift(self.expected, live, audience)

    @property
    def desired(self) -> Configuration | None:
        """The desired state until now: the last applied one, or the live one if no apply has this feature."""
        if self.live is None or self.applied is None:
            return self.live
        return self.applied.desired

    @property
    def percentage(self) -> Decimal | None:
        """The desired percentage until now; None for a new feature."""
        return None if self.desired is None else self.desired.percentage

    def without(self, drift: tuple[Drift, ...]) -> Configuration | None:
        """Return the live configuration without the drift that is reverted."""
        if self.live is None or self.expected is None:
            return self.live
        return without_drift(self.live, drift, self.expected)

    def used_ids(self, in_file: UUID | None) -> set[UUID]:
        """Return the override ids that the database or git knows, except the one in the file."""
        stored = () if self.found is None else self.found.overrides
        traces = self.inputs.traces.items()
        known = {row.id for row in stored} | {each for each, trace in traces if trace.was_there}
        return known - {in_file}


def drift_to_judge(
    inputs: PlanInputs,
) -> Iterator[tuple[str, ScalarField, Configuration, Configuration]]:
    """Yield the drift whose direction only the audience shows: feature, field, expected, live.

    Both sides have the exposure of the file, because a stop or a limit would hide the effect of a
    change.
    """
    for name, found in inputs.live.features.items():
        context = FeatureContext.of(name, inputs)
        expected = found.adopted if context.applied is None else context.expected
        if expected is not None:
            percentage = (
                found.configuration.percentage
                if context.applied is None
                else context.applied.desired.percentage
            )
            for field in fields_judged_by_audience(expected, found.configuration):
                yield (
                    name,
                    field,
                    _opened(expected, percentage),
                    _opened(found.configuration, percentage),
                )


def _opened(configuration: Configuration, percentage: Decimal) -> Configuration:
    return replace(configuration, active=True, emergency_stop=False, percentage=percentage)


def kept_ids(inputs: PlanInputs) -> Iterator[UUID]:
    """Yield the ids of the overrides that keep drift, if git was asked about them."""
    for name, found in inputs.live.features.items():
        context = FeatureContext.of(name, inputs)
        kept = kept_override(found, context.drift, inputs.live.generation, context.used_ids(None))
        if kept is not None:
            yield kept.id


def drift_before_any_apply(
    context: FeatureContext, desired: Configuration, in_file: Override | None
) -> tuple[Drift, ...]:
    """Return the live changes before the first apply that narrow the desired state.

    There is no stored state to compare with, but a narrowing survives every apply, also the first: a
    stop or a percentage is kept, another narrowing since the adoption is held. A percentage of 0 is
    the start of each feature; it narrows only a feature that had a higher one.
    """
    if context.found is None:
        return ()
    live = context.found.configuration
    expected = effective(desired, _narrower(context.limit, in_file), live)
    is_limit = bool(live.percentage) or context.found.was_lowered
    percentage = max(expected.percentage, live.percentage) if is_limit else Decimal(0)
    if live.emergency_stop:
        percentage = live.percentage
    before = replace(
        live,
        active=live.active or (expected.active and context.found.was_deactivated),
        emergency_stop=expected.emergency_stop,
        percentage=percentage,
    )
    kept = (each for each in find_drift(before, live, {}) if each.decision is Decision.KEEP)
    held = with_adopted(context.drift, desired, context.inputs.live.directory)
    return (*kept, *(each for each in held if each.decision is Decision.HOLD))


def _narrower(limit: Override | None, other: Override | None) -> Override | None:
    both = [each for each in (limit, other) if each is not None]
    return min(both, key=limit_of, default=None)
