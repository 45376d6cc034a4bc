"""Values that many tests need: files, repositories, jobs, overrides, targetings."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from math import inf
from typing import Any, Final
from uuid import NAMESPACE_URL, UUID, uuid5

import yaml

from reconciler.rollout_file.override import Override
from rollout_client.targeting.eligibility import Targeting
from rollout_client.targeting.strategy import Strategy
from tests.postgres import Database

FEATURE: Final = "hybrid_progressive_capture"
"""The feature of a new site."""
MOMENT: Final = datetime(2026, 11, 23, 12, tzinfo=UTC)


def rollout_file(features: Mapping[str, Mapping[str, Any]], **keys: Any) -> str:
    """Return the text of a rollout file; each key of a feature has its own line."""
    lines = ["version: 1", "features:" if features else "features: {}"]
    for name, fields in features.items():
        lines.append(f"  {name}:" if fields else f"  {name}: {{}}")
        lines += [f"    {key}: {_in_flow_style(value)}" for key, value in fields.items()]
    lines += [f"{key}: {_in_flow_style(value)}" for key, value in keys.items()]
    return "".join(f"{line}\n" for line in lines)


def _in_flow_style(value: object) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=inf)
    return text.removesuffix("\n").removesuffix("\n...")


@dataclass(frozen=True)
class RepositoryRow:
    """A row of the table `repositories`."""

    full_name: str
    id: str | UUID | None = None
    """None for the id of this name, so that each run has the same eligible repositories."""
    stars: int = 0
    contributors: int = 0
    pull_requests: int = 0


def add_repositories(database: Database, *repositories: str | RepositoryRow) -> None:
    """Insert repositories, given by name or as rows."""
    rows = [
        each if isinstance(each, RepositoryRow) else RepositoryRow(each) for each in repositories
    ]
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO repositories (id, owner, name, full_name, stargazers_count,"
            " contributors_count, pull_requests_count) VALUES (%s, %s, %s, %s, %s, %s, %s)",
            [
                (
                    each.id or uuid5(NAMESPACE_URL, each.full_name),
                    *each.full_name.split("/", 1),
                    each.full_name,
                    each.stars,
                    each.contributors,
                    each.pull_requests,
                )
                for each in rows
            ],
        )


def report_jobs(
    database: Database,
    jobs: int,
    *,
    errors: int = 0,
    feature: str = "capture",
    repository: str | None = None,
    processor: str = "github_actions",
) -> None:
    """Report jobs as a worker does, the failed ones first; by default of the repository with the least id."""
    database.execute(
        """
        SELECT record_rollout_job(%(feature)s, repository.id, %(processor)s, job > %(errors)s)
        FROM generate_series(1, %(jobs)s) AS job, (
            SELECT id FROM repositories
            WHERE full_name = coalesce(%(repository)s::text, full_name)
            ORDER BY id LIMIT 1
        ) AS repository
        """,
        feature=feature,
        repository=repository,
        processor=processor,
        jobs=jobs,
        errors=errors,
    )


def override(
    number: int,
    percentage: int | Decimal | None = None,
    *,
    reason: str = "too many errors",
    by: str = "ada",
    at: datetime = MOMENT,
) -> Override:
    """Return an override with a small id: to a percentage, or without one a stop."""
    return Override(
        id=UUID(int=number),
        percentage=None if percentage is None else Decimal(percentage),
        emergency_stop=True if percentage is None else None,
        reason=reason,
        by=by,
        at=at,
    )


def targeting(percentage: int | str = 100, *, salt: str = "capture") -> Targeting:
    """Return an active feature's targeting by percentage; the lists are empty."""
    return Targeting(
        active=True,
        emergency_stop=False,
        strategy=Strategy.PERCENTAGE,
        percentage=Decimal(percentage),
        salt=salt,
    )
