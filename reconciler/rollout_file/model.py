"""The desired state: the content of a `rollout.yaml` at one commit, as immutable values.

The models hold the values that the reader has checked. The JSON Schema is generated from them: the default
of each field is the meaning of an absent key, and the text below it is the schema's description. They
contain neither YAML nor line numbers. Rules between values (an entry in both lists, an override that
widens) are in `rules.py`.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import ConfigDict, Field

from reconciler.rollout_file.approvals import Approvals
from reconciler.rollout_file.entry_types import Entries
from reconciler.rollout_file.freezes import Freeze, ZoneName
from reconciler.rollout_file.health_method import HealthMethod
from reconciler.rollout_file.notifications import Target, TargetName
from reconciler.rollout_file.override import Override
from reconciler.rollout_file.part import Part
from reconciler.rollout_file.routing import MAX_RULES, Processor, ProcessorKey, RoutingRule
from reconciler.rollout_file.start_time import StartTime
from reconciler.rollout_file.thresholds import FileThresholds
from reconciler.rollout_file.value_types import (
    AlarmShare,
    BucketingName,
    Count,
    FeatureName,
    MethodName,
    NamedByPattern,
    Percentage,
    PositiveCount,
    ProcessorName,
    RolloutDuration,
    StagePercentage,
    StrategyName,
    Text,
    Truth,
    VersionOne,
)
from reconciler.rollout_file.zones import UTC_ZONE, moment_of, read_zone
from rollout_client.targeting.buckets import Bucketing
from rollout_client.targeting.categories import Category, Threshold
from rollout_client.targeting.strategy import Strategy

MAX_DESCRIPTION_LENGTH = 1_000
MAX_SALT_LENGTH = 200
MAX_BRANCH_LENGTH = 200
DEFAULT_PROCESSOR = "github_actions"
DEFAULT_FALLBACK = "inngest"


class Health(Part):
    """When a feature counts as failing, and whether it is rolled back then."""

    method: MethodName = Field(HealthMethod.THRESHOLD, examples=["evidence"])
    """The method: `threshold` compares the error rate of the window; `evidence` tests for too many errors."""
    max_error_rate: Percentage = Field(Decimal(5), examples=[5, 2.5])
    """The highest error rate, in percent, with which the feature passes."""
    max_regression: Percentage = Field(Decimal(2), examples=[2, 0.5])
    """Percentage points by which the error rate may be over that of the fallback; of `evidence`, and for an
    outage of both processors."""
    max_slowdown: Percentage | None = Field(None, examples=[10])
    """Percentage points of slow jobs above the fallback's; of `evidence`; without it they are not judged."""
    false_alarms: AlarmShare = Field(Decimal("0.001"), examples=[0.001, 0.01])
    """The share of healthy rollouts that are ever rolled back, at most, from 0.0001 to 0.5; of `evidence`."""
    min_jobs: PositiveCount = Field(10, examples=[10])
    """Fewer jobs of the processor than this within the window are inconclusive."""
    window: RolloutDuration = Field(timedelta(hours=24), examples=["90s", "15m", "24h", "7d"])
    """The length of the window in which jobs count: 90s, 15m, 24h, 7d; at most 365d."""
    auto_rollback: Truth = Field(default=True, examples=[False])
    """Whether a failing feature is rolled back at once, without a person."""
    rollback_to: Percentage = Field(Decimal(0), examples=[0])
    """The percentage after an automatic rollback."""


class Guards(Part):
    """The most that one apply may change without permission."""

    max_increase: Percentage = Field(Decimal(25), examples=[25])
    """Percentage points that one apply may add."""
    max_removal: Percentage = Field(Decimal(30), examples=[30])
    """Percent of a list, of ten entries or more, that one apply may remove."""
    max_gain: Count | None = Field(None, examples=[500])
    """Repositories that may gain the feature in one apply; without it, any number."""


class Stage(Part):
    """One step of a progression."""

    percentage: StagePercentage = Field(examples=[10])
    """The percentage of this stage, above the one before it."""
    soak: RolloutDuration = Field(examples=["1d", "7d"])
    """The time that this stage must soak before the next may begin: 90s, 15m, 24h, 7d."""
    not_before: StartTime | None = Field(
        None, examples=["2027-01-11 09:00", "2027-01-11 09:00+01:00"]
    )
    """The time before which this stage does not begin: in UTC, with an offset, or in `zone`."""
    zone: ZoneName | None = Field(None, examples=["Europe/Berlin"])
    """The zone of `not_before`, by its name in the IANA database; default: UTC."""

    @property
    def begins_after(self) -> datetime | None:
        """The moment before which this stage does not begin, in UTC."""
        if self.not_before is None or self.not_before.tzinfo is not None:
            return self.not_before
        return moment_of(self.not_before, read_zone(self.zone or UTC_ZONE), second=True)


class Feature(Part):
    """One feature that is rolled out."""

    description: Annotated[Text, Field(max_length=MAX_DESCRIPTION_LENGTH)] | None = Field(
        None, examples=["Capture through GitHub Actions"]
    )
    """A description of the feature, in one line."""
    active: Truth = Field(default=True, examples=[False])
    """Whether repositories can be eligible; false turns the feature off and keeps its settings."""
    processor: ProcessorName = Field(DEFAULT_PROCESSOR, examples=["github_actions"])
    """The processor that runs the jobs of eligible repositories; its jobs alone are judged."""
    fallback: ProcessorName = Field(DEFAULT_FALLBACK, examples=["inngest"])
    """The processor that runs all other jobs; its jobs are the baseline."""
    routing: Annotated[tuple[RoutingRule, ...], Field(max_length=MAX_RULES)] = Field(
        (), examples=[[{"when": {"size": "<=10"}, "to": "inngest"}, {"to": "github_actions"}]]
    )
    """Rules for jobs of eligible repositories; the first that fits decides, else it is `processor`."""
    strategy: StrategyName = Field(Strategy.PERCENTAGE, examples=["repository_size"])
    """The rule for a repository that is in neither list."""
    percentage: Percentage = Field(Decimal(0), examples=[0, 12.5, 100])
    """The share of eligible repositories, from 0 to 100 at most two decimals; at 0 only the whitelist."""
    salt: Annotated[Text, Field(max_length=MAX_SALT_LENGTH)] | None = Field(
        None, examples=["my_feature"]
    )
    """The salt of the buckets; default: the feature's name. A change selects other repositories."""
    bucketing: BucketingName = Field(Bucketing.SHA256, examples=["hashtext"])
    """The hash that a percentage uses: `sha256` of salt and id, or `hashtext` of adopted services."""
    whitelist: Entries = Field((), examples=[["microsoft/vscode", "my-company/*"]])
    """Repositories that are always eligible, unless excluded: owner/name, owner/* or an id."""
    exclusions: Entries = Field((), examples=[["legacy-org/monolith"]])
    """Repositories that are never eligible: owner/name, owner/* or an id."""
    health: Health = Field(
        Health.model_construct(), examples=[{"max_error_rate": 5, "min_jobs": 10, "window": "24h"}]
    )
    """When the feature counts as failing, and what happens then."""
    guards: Guards = Field(
        Guards.model_construct(), examples=[{"max_increase": 25, "max_removal": 30}]
    )
    """The most that one apply may change without permission."""
    progression: tuple[Stage, ...] = Field(
        (), examples=[[{"percentage": 10, "soak": "1d"}, {"percentage": 100, "soak": "14d"}]]
    )
    """The stages, with rising percentages, each with the time that it must soak."""
    override: Override | None = Field(
        None,
        examples=[
            {
                "id": "019343a7-6f8e-7c34-9a55-0b8a1f0d2c11",
                "percentage": 0,
                "reason": "error rate 12.50% over 5% (25 of 200 jobs in 24h)",
                "by": "auto-rollback",
                "at": "2026-11-23T12:00:00Z",
            }
        ],
    )
    """A limit below the desired state, written by the reconciler; remove it to resume."""

    def salt_or(self, name: str) -> str:
        """Return the salt that spreads repositories, or else the feature's name."""
        return name if self.salt is None else self.salt


class Rollout(Part):
    """The features and the repositories that are eligible for them."""

    model_config = ConfigDict(title="rollout.yaml")

    version: VersionOne = Field(examples=[1])
    """The version of this format."""
    features: Annotated[dict[FeatureName, Feature], NamedByPattern()] = Field(
        {}, examples=[{"my_feature": {"strategy": "repository_size", "percentage": 10}}]
    )
    """The features by name; without one, nothing is managed."""
    test_repositories: Entries = Field((), examples=[["my-org/test-repo-1"]])
    """Repositories marked as test, for every feature: owner/name, owner/* or an id."""
    categories: Annotated[dict[Category, Threshold], FileThresholds()] = Field(
        {}, examples=[{"small": {"stars": 50, "contributors": 10}}]
    )
    """The categories whose thresholds differ from the defaults; each number is the largest allowed."""
    branch: Annotated[Text, Field(max_length=MAX_BRANCH_LENGTH)] | None = Field(
        None, examples=["production"]
    )
    """The branch that overrides are written back to; default: the remote's default branch."""
    notifications: Annotated[dict[TargetName, Target], NamedByPattern()] = Field(
        {}, examples=[{"oncall": {"kind": "pagerduty", "severities": ["page"]}}]
    )
    """The receivers of notifications by name; their addresses are in the environment."""
    freezes: tuple[Freeze, ...] = Field(
        (),
        examples=[[{"name": "weekend", "zone": "UTC", "from": "fri 16:00", "to": "mon 08:00"}]],
    )
    """The times in which no audience widens, each week or from one day to another."""
    approvals: Approvals | None = Field(
        None, examples=[{"widening": 1, "over": 50, "code_owners": True}]
    )
    """The approvals that a change needs which widens an audience; without it, none."""
    processors: dict[ProcessorKey, Processor] = Field(
        {},
        examples=[
            {
                "github_actions": {
                    "cost": {"per_minute": 0.006, "round_up": "1m"},
                    "as_of": "2026-11-01",
                }
            }
        ],
    )
    """The prices of processors by name."""
