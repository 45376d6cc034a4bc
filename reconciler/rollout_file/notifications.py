"""The file's `notifications:`: which events go to which target.

Addresses and secrets are never in the file: the environment has them.
"""

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from reconciler.rollout_file.characters import quoted
from reconciler.rollout_file.value_types import (
    FEATURE_NAME_PATTERN,
    FeatureReference,
    refused,
    wrong_type,
)

_Choice = TypeVar("_Choice", bound=StrEnum)


class TargetKind(StrEnum):
    """The service that a target belongs to."""

    SLACK = "slack"
    TEAMS = "teams"
    PAGERDUTY = "pagerduty"
    WEBHOOK = "webhook"
    EMAIL = "email"
    APPRISE = "apprise"


class Severity(StrEnum):
    """How urgent an event is."""

    PAGE = "page"
    """A person acts now."""
    TICKET = "ticket"
    """A person acts on the next working day."""
    INFO = "info"


class EventName(StrEnum):
    """An event that targets receive."""

    ROLLED_BACK = "rolled_back"
    STOPPED = "stopped"
    RESUMED = "resumed"
    WARNING = "warning"
    DRIFT_HELD = "drift_held"
    REFUSED = "refused"
    WRITE_BACK_STUCK = "write_back_stuck"
    PROMOTION_READY = "promotion_ready"
    PROMOTED = "promoted"
    APPLIED = "applied"
    SHARED_OUTAGE = "shared_outage"
    WATCH_ABSENT = "watch_absent"
    FREEZE_OVERRIDDEN = "freeze_overridden"
    REROUTED = "rerouted"
    RESTORED = "restored"

    @property
    def severity(self) -> Severity:
        """How urgent the event is."""
        match self:
            case (
                EventName.ROLLED_BACK
                | EventName.STOPPED
                | EventName.SHARED_OUTAGE
                | EventName.WATCH_ABSENT
            ):
                return Severity.PAGE
            case (
                EventName.WARNING
                | EventName.DRIFT_HELD
                | EventName.REFUSED
                | EventName.WRITE_BACK_STUCK
                | EventName.FREEZE_OVERRIDDEN
                | EventName.RESTORED
            ):
                return Severity.TICKET
            case (
                EventName.RESUMED
                | EventName.PROMOTION_READY
                | EventName.PROMOTED
                | EventName.APPLIED
                | EventName.REROUTED
            ):
                return Severity.INFO


def _choice(choices: type[_Choice], what: str) -> Callable[[object], _Choice]:
    *others, last = choices
    hint = f"{', '.join(others)} or {last}"

    def read(value: object) -> _Choice:
        if not isinstance(value, str):
            raise wrong_type(hint)
        if value not in set(choices):
            raise refused(f"{quoted(value)} is not {what}; write {hint}")
        return choices(value)

    return read


def _target_name(value: str) -> str:
    if not re.fullmatch(FEATURE_NAME_PATTERN, value):
        # The type of the error of each key that is a name.
        raise PydanticCustomError(
            "feature_name",
            "{message}",
            {
                "message": f"{quoted(value)} is not a target's name; write at most 100 lower-case "
                "letters, digits and _, beginning with a letter"
            },
        )
    return value


TargetName = Annotated[str, AfterValidator(_target_name)]


class Target(BaseModel):
    """One receiver of notifications; `ROLLOUT_NOTIFY_<NAME>_URL` in the environment is its address."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    kind: Annotated[TargetKind, BeforeValidator(_choice(TargetKind, "a kind of target"))] = Field(
        examples=["slack", "pagerduty"]
    )
    """The service: slack, teams, pagerduty, webhook, email or apprise."""
    events: tuple[Annotated[EventName, BeforeValidator(_choice(EventName, "an event"))], ...] = (
        Field((), examples=[["rolled_back", "stopped", "resumed"]])
    )
    """The events that the target receives; default: all but applied."""
    severities: tuple[
        Annotated[Severity, BeforeValidator(_choice(Severity, "a severity"))], ...
    ] = Field((), examples=[["page", "ticket"]])
    """The severities that the target receives; default: all."""
    features: tuple[FeatureReference, ...] = Field((), examples=[["capture"]])
    """The features whose events the target receives; default: all."""

    @property
    def summary(self) -> str:
        """The target in one line, as a plan shows it."""
        parts = [self.kind.value]
        for label, values in (
            ("events", self.events),
            ("severities", self.severities),
            ("features", self.features),
        ):
            if values:
                parts.append(f"{label} {', '.join(values)}")
        return "; ".join(parts)
