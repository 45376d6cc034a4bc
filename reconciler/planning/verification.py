"""Verifying a rollback: from what was found, what holds, what doesn't, and what can't be told yet.

Five checks, each by itself: the configuration, who is in, where jobs ran since, history, git.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from reconciler.planning.feature_config import Exposure
from reconciler.planning.overrides import effective
from reconciler.rollout_file.model import Override
from reconciler.wording import describe_limit, show_number

FALLBACK_PROCESSOR: Final = "inngest"
"""Where the jobs of a repository run that is not in, where nobody says otherwise."""

ON_THEIR_WAY: Final = timedelta(minutes=5)
"""Jobs that ran elsewhere when the rollback came have this long to end and to be reported."""


class CheckStatus(StrEnum):
    """What a check came to."""

    OK = "ok"
    FAILED = "failed"
    NOT_YET = "not yet"
    """Nothing speaks against it, and it can't be told yet."""


class CheckName(StrEnum):
    """What is checked."""

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
    """What was found, in a sentence."""


@dataclass(frozen=True, slots=True)
class JobsSince:
    """Where the jobs ran, since a rollback, of repositories that are not in."""

    on_fallback: int
    elsewhere: int
    last_elsewhere_at: datetime | None


@dataclass(frozen=True, slots=True)
class GitAnswer:
    """What the remote's branch says of an override."""

    status: CheckStatus
    detail: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was found about a feature under an override."""

    override: Override
    live: Exposure
    desired: Exposure
    too_many: int
    """Repositories that are in, and are not to be under the override."""
    too_few: int
    """Repositories that are not in, and are to be."""
    repositories: int
    eligible: int
    jobs: JobsSince
    fallback: str
    """The processor that jobs are to run on."""
    history_rows: int
    git: GitAnswer


def verify_rollback(found: Evidence) -> tuple[Check, ...]:
    """Return every check, in order."""
    return tuple(
        Check(name, status, detail)
        for name, (status, detail) in zip(CheckName, _checks(found), strict=True)
    )


def _checks(found: Evidence) -> Iterator[tuple[CheckStatus, str]]:
    yield _configuration(found)
    yield _eligibility(found)
    yield _jobs(found)
    yield _history(found)
    yield found.git.status, found.git.detail


def _configuration(found: Evidence) -> tuple[CheckStatus, str]:
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


def _eligibility(found: Evidence) -> tuple[CheckStatus, str]:
    if not found.too_many and not found.too_few:
        return (
            CheckStatus.OK,
            f"all {found.repositories:,} repositories as the override demands, "
            f"{found.eligible:,} of them in",
        )
    return (
        CheckStatus.FAILED,
        f"of {found.repositories:,} repositories {found.too_many:,} are in and should not be, "
        f"{found.too_few:,} should be and are not",
    )


def _jobs(found: Evidence) -> tuple[CheckStatus, str]:
    jobs = found.jobs
    told = f"{jobs.on_fallback:,} jobs of those not in ran on {found.fallback} since"
    if jobs.last_elsewhere_at is not None:
        told += f", {jobs.elsewhere:,} elsewhere"
        if jobs.last_elsewhere_at > found.override.at + ON_THEIR_WAY:
            return CheckStatus.FAILED, told
        told += " that were on their way"
    return (CheckStatus.OK if jobs.on_fallback else CheckStatus.NOT_YET), told


def _history(found: Evidence) -> tuple[CheckStatus, str]:
    if found.history_rows:
        return CheckStatus.OK, "history tells of it"
    return CheckStatus.FAILED, "history does not tell of it"
