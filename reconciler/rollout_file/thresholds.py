"""The file's `categories:`, completed: a number that is not written keeps its default.

`enterprise` has every repository above the other thresholds, so it has only a priority.
"""

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from pydantic import Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from reconciler.rollout_file.part import Part
from reconciler.rollout_file.value_types import Count, Priority
from rollout_client.targeting.categories import DEFAULT_THRESHOLDS, Category, Threshold


class EnterpriseThreshold(Part):
    """Every repository that is in no other category."""

    priority: Priority | None = Field(None, examples=[20])
    """The priority; repositories with a higher one are added earlier."""


class CategoryThreshold(Part):
    """The largest numbers that a repository of this category may have, inclusive."""

    stars: Count | None = Field(None, examples=[50])
    """Stars at most."""
    contributors: Count | None = Field(None, examples=[10])
    """Contributors at most."""
    pull_requests: Count | None = Field(None, examples=[100])
    """Pull requests at most."""
    priority: Priority | None = Field(None, examples=[80])
    """The priority; repositories with a higher one are added earlier."""


class Categories(Part):
    """The categories whose thresholds differ from the defaults, tried from test to enterprise."""

    test: CategoryThreshold | None = Field(None, examples=[{"stars": 0, "priority": 100}])
    """By default at most 0 stars, 2 contributors, 10 pull requests; priority 100."""
    small: CategoryThreshold | None = Field(None, examples=[{"stars": 50, "priority": 80}])
    """By default at most 50 stars, 10 contributors, 100 pull requests; priority 80."""
    medium: CategoryThreshold | None = Field(None, examples=[{"stars": 500, "priority": 60}])
    """By default at most 500 stars, 50 contributors, 1,000 pull requests; priority 60."""
    large: CategoryThreshold | None = Field(None, examples=[{"stars": 5_000, "priority": 40}])
    """By default at most 5,000 stars, 200 contributors, 10,000 pull requests; priority 40."""
    enterprise: EnterpriseThreshold | None = Field(None, examples=[{"priority": 20}])
    """Every other repository; priority 20 by default."""


class FileThresholds:
    """Reads `categories:` into completed thresholds, and provides its schema."""

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Return a schema that reads the file's part, or takes thresholds that code has completed."""
        return core_schema.no_info_wrap_validator_function(
            _completed,
            handler.generate_schema(Categories),
            serialization=core_schema.plain_serializer_function_ser_schema(_written),
        )


def _completed(
    value: object, read: core_schema.ValidatorFunctionWrapHandler
) -> dict[Category, Threshold]:
    if isinstance(value, Mapping) and all(isinstance(each, Threshold) for each in value.values()):
        return {Category(key): threshold for key, threshold in value.items()}
    categories: Categories = read(value)
    written = {category: getattr(categories, category.value) for category in Category}
    return {
        category: replace(DEFAULT_THRESHOLDS[category], **_numbers(part))
        for category, part in written.items()
        if part is not None
    }


def _written(thresholds: Mapping[Category, Threshold]) -> dict[str, dict[str, int]]:
    """Return completed thresholds as a file would have them."""
    return {
        category.value: {
            name: number for name, number in asdict(each).items() if number is not None
        }
        for category, each in thresholds.items()
    }


def _numbers(part: CategoryThreshold | EnterpriseThreshold) -> dict[str, Any]:
    numbers = {each.name: getattr(part, each.name, None) for each in fields(Threshold)}
    return {name: number for name, number in numbers.items() if number is not None}
