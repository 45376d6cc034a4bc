"""Routing: the processor of a job, after the decision about its repository."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Job:
    """A job for a processor."""

    feature: str
    kind: str = ""
    """The kind of job, a name of the service's own, such as `pull_requests`."""
    size: int = 0
    """The amount of work, in a unit of the service's own, such as days of history."""


@dataclass(frozen=True, slots=True)
class JobRule:
    """Jobs of some kinds and sizes, and the processor that takes them."""

    processor: str
    kinds: frozenset[str] = frozenset()
    """Empty means every kind."""
    smallest: int = 0
    largest: int | None = None
    """Both sizes are inclusive; None means no limit."""

    def fits(self, job: Job) -> bool:
        """Return whether the rule takes a job."""
        return (
            (not self.kinds or job.kind in self.kinds)
            and job.size >= self.smallest
            and (self.largest is None or job.size <= self.largest)
        )


@dataclass(frozen=True, slots=True)
class Routing:
    """The processors of a feature's jobs."""

    processor: str = "github_actions"
    """Takes the jobs of repositories that get the feature, if no rule matches."""
    fallback: str = "inngest"
    """Takes all other jobs."""
    rules: tuple[JobRule, ...] = ()
    """For repositories that get the feature; the first match gives the processor."""

    def route(self, job: Job, *, eligible: bool) -> "Route":
        """Return the processor that takes a job."""
        if not eligible:
            return Route(self.fallback, eligible=False)
        fitting = (rule.processor for rule in self.rules if rule.fits(job))
        return Route(next(fitting, self.processor), eligible=True)


DEFAULT_ROUTING: Final = Routing()


@dataclass(frozen=True, slots=True)
class Route:
    """The processor that takes a job."""

    processor: str
    eligible: bool
    """Whether the job's repository gets the feature."""
