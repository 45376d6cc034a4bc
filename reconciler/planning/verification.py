"""Verification of a rollback: the checks that hold, fail, or have no result yet.

Five independent checks: the configuration, the eligible repositories, the jobs since then, history,
git.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from reconciler.planning.exposure import Exposure
from reconciler.planning.overrides import effective
from reconciler.rollout_file.override import Override
from reconciler.wording import counted, describe_limit, show_number

GRACE: Final = timedelta(minutes=5)
"""Jobs that were running on another processor at the rollback have this long to end and to be reported."""


class CheckStatus(StrEnum):
    """The result of a check."""

    OK = "ok"
    FAILED = "failed"
    NOT_YET = "not yet"
    """No evidence against it, and no proof yet."""


class CheckName(StrEnum):
    """The subject of a check."""

    CONFIGURATION = "configuration"
    ELIGIBILITY = "eligibility"
    JOBS = "jobs"
    HISTORY = "history"
    GIT = "git"


@dataclass(frozen=True, slots=True)
class Check:
    """One check of a rollback."""

    name: CheckName
    status: CheckStatus
    detail: str
    """The finding, in a sentence."""


@dataclass(frozen=True, slots=True)
class JobsSince:
    """The processors of the jobs of ineligible repositories since a rollback."""

    on_fallback: int
    elsewhere: int
    last_elsewhere_at: datetime | None


@dataclass(frozen=True, slots=True)
class GitAnswer:
    """Whether the remote's branch has an override."""

    status: CheckStatus
    detail: str


@dataclass(frozen=True, slots=True)
class RollbackFacts:
    """The evidence about a feature under an override."""

    override: Override
    live: Exposure
    desired: Exposure
    too_many: int
    """Repositories that are eligible but should not be under the override."""
    too_few: int
    """Repositories that are not eligible but should be."""
    repositories: int
    eligible: int
    jobs: JobsSince
    fallback: str
    """The processor on which jobs should run."""
    history_rows: int
    git: GitAnswer


def verify_rollback(found: RollbackFacts) -> tuple[Check, ...]:
    """Return every check, in order."""
    return tuple(
        Check(name, status, detail)
        for name, (status, detail) in zip(CheckName, _checks(found), strict=True)
    )


def _checks(found: RollbackFacts) -> Iterator[tuple[CheckStatus, str]]:
    yield _configuration(found)
    yield _eligibility(found)
    yield _jobs(found)
    yield _history(found)
    yield found.git.status, found.git.detail


def _configuration(found: RollbackFacts) -> tuple[CheckStatus, str]:
    wanted = effective(found.desired, found.override, found.live)
    live = "stopped" if found.live.emergency_stop else show_number(found.live.percentage)
    if (found.live.emergency_stop, found.live.percentage) == (
        wanted.emergency_stop,
        wanted.percentage,
    ):
        return (
            CheckStatus.OK,
            f"live is {live}, as {describe_limit(found.override.percentage)} demands",
        )
    return (
        CheckStatus.FAILED,
        f"live is {live}, and {describe_limit(found.override.percentage)} is in force; see reconcile drift",
    )


def _eligibility(found: RollbackFacts) -> tuple[CheckStatus, str]:
    if not found.too_many and not found.too_few:
        return (
            CheckStatus.OK,
            f"all {found.repositories:,} repositories are as the override demands, "
            f"{found.eligible:,} of them eligible",
        )
    return (
        CheckStatus.FAILED,
        f"{found.too_many:,} of {found.repositories:,} repositories are wrongly eligible, "
        f"{found.too_few:,} are wrongly not",
    )


def _jobs(found: RollbackFacts) -> tuple[CheckStatus, str]:
    jobs = found.jobs
    since = f"on {found.fallback} since the rollback"
    found_jobs = (
        f"{counted(jobs.on_fallback, 'job')} of ineligible repositories ran {since}"
        if jobs.on_fallback
        else f"no job of an ineligible repository has run {since}"
    )
    if jobs.last_elsewhere_at is not None:
        found_jobs += f", {jobs.elsewhere:,} elsewhere"
        if jobs.last_elsewhere_at > found.override.at + GRACE:
            return CheckStatus.FAILED, found_jobs
        found_jobs += " that had started before"
    return (CheckStatus.OK if jobs.on_fallback else CheckStatus.NOT_YET), found_jobs


def _history(found: RollbackFacts) -> tuple[CheckStatus, str]:
    if found.history_rows:
        return CheckStatus.OK, "history has it"
    return CheckStatus.FAILED, "history does not have it"
