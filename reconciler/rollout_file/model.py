"""The desired state: what a `rollout.yaml` at one commit says, as values that cannot change.

The models hold what the reader has read and checked; the JSON Schema is generated from them, and the
default of each field is what an absent key means. They know neither YAML nor line numbers.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from reconciler.targeting.categories import Category, Threshold
from reconciler.targeting.strategy import Strategy


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Health(Model):
    max_error_rate: Decimal = Decimal(5)
    min_jobs: int = 10
    window: timedelta = timedelta(hours=24)
    auto_rollback: bool = True
    rollback_to: Decimal = Decimal(0)


class Guards(Model):
    max_increase: Decimal = Decimal(25)
    max_removal: Decimal = Decimal(30)
    max_gain: int | None = None


class Stage(Model):
    percentage: Decimal
    soak: timedelta


class Override(Model):
    id: UUID
    percentage: Decimal | None = None
    emergency_stop: Literal[True] | None = None
    reason: str
    by: str
    at: datetime


class Feature(Model):
    description: str | None = None
    active: bool = True
    strategy: Strategy = Strategy.PERCENTAGE
    percentage: Decimal = Decimal(0)
    salt: str | None = None
    whitelist: tuple[str, ...] = ()
    exclusions: tuple[str, ...] = ()
    health: Health = Health()
    guards: Guards = Guards()
    progression: tuple[Stage, ...] = ()
    override: Override | None = None


class Rollout(Model):
    version: Literal[1]
    features: dict[str, Feature] = {}
    test_repositories: tuple[str, ...] = ()
    categories: dict[Category, Threshold] = {}
