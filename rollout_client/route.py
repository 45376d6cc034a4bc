"""Routing: the processor of a job, after the decision about its repository.

The decision is pure: the same rules, job and category give the same processor. The SQL function
`route_rollout_job` decides the same. Rules choose between processors for eligible repositories only;
all other jobs, and everything unknown, go to the fallback.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

CHEAPEST: Final = "cheapest"
"""The target of a rule whose processor is chosen from recorded jobs, by category."""
SIZE_PATTERN: Final = "(<=|>=|<|>|=) ?([0-9]{1,15})"


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
    """Jobs of some kinds, sizes and categories, and the processor that takes them."""

    processor: str
    kinds: frozenset[str] = frozenset()
    """Empty means every kind."""
    smallest: int = 0
    largest: int | None = None
    """Both sizes are inclusive; None means no limit."""
    categories: frozenset[str] = frozenset()
    """The categories of repositories; empty means every category."""
    number: int | None = None
    """The position of the rule in the file, from 1; None for a rule that is an argument."""
    because: str = ""
    """The reason that the file gives."""
    spill: bool = False
    """Whether jobs go to the other processor while this one is at its limit."""

    def fits(self, job: Job) -> bool:
        """Return whether the rule takes jobs of this kind and size."""
        return (
            (not self.kinds or job.kind in self.kinds)
            and job.size >= self.smallest
            and (self.largest is None or job.size <= self.largest)
        )


@dataclass(frozen=True, slots=True)
class Load:
    """The limit of a processor, and the jobs that run there."""

    concurrency: int
    running: int

    @property
    def is_full(self) -> bool:
        """Whether no further job may start there."""
        return self.running >= self.concurrency


NO_LIMITS: Final[Mapping[str, Load]] = MappingProxyType({})
"""The loads if no processor has a limit."""


@dataclass(frozen=True, slots=True)
class Routing:
    """The processors of a feature's jobs."""

    processor: str = "github_actions"
    """Takes the jobs of repositories that get the feature, if no rule matches."""
    fallback: str = "inngest"
    """Takes all other jobs."""
    rules: tuple[JobRule, ...] = ()
    """For repositories that get the feature; the first match gives the processor."""

    @property
    def needs_categories(self) -> bool:
        """Whether a rule depends on the category of a repository."""
        return any(rule.categories for rule in self.rules)

    @property
    def spills(self) -> bool:
        """Whether a rule depends on the running jobs."""
        return any(rule.spill for rule in self.rules)

    def route(
        self,
        job: Job,
        *,
        eligible: bool,
        category: str | None = None,
        loads: Mapping[str, Load] | None = NO_LIMITS,
    ) -> "Route":
        """Return the processor that takes a job.

        Args:
            job: the job.
            eligible: whether its repository gets the feature.
            category: the repository's category; None if it is unknown. A rule that depends on it
                then gives the fallback.
            loads: the processors that have a limit; None if they are unknown. A rule with `spill`
                then gives the fallback.
        """
        if not eligible:
            return Route(self.fallback, eligible=False)
        for rule in self.rules:
            if not rule.fits(job):
                continue
            if rule.categories and category is None:
                return Route(self.fallback, eligible=True)
            if not rule.categories or category in rule.categories:
                processor = self._spilled(rule.processor, loads) if rule.spill else rule.processor
                return Route(processor, eligible=True, rule=rule.number, because=rule.because)
        return Route(self.processor, eligible=True)

    def _spilled(self, chosen: str, loads: Mapping[str, Load] | None) -> str:
        """Return the other processor if the chosen one is full and the other one is not."""
        if loads is None:
            return self.fallback
        other = self.processor if chosen == self.fallback else self.fallback
        return other if _is_full(loads.get(chosen)) and not _is_full(loads.get(other)) else chosen


DEFAULT_ROUTING: Final = Routing()


@dataclass(frozen=True, slots=True)
class Route:
    """The processor that takes a job."""

    processor: str
    eligible: bool
    """Whether the job's repository gets the feature."""
    rule: int | None = None
    """The number of the rule in the file that decides, from 1; None if none of them does."""
    because: str = ""
    """The reason that the file gives for the rule."""


def read_routing(
    processor: str,
    fallback: str,
    rules: Iterable[Mapping[str, Any]] = (),
    choices: Iterable[Mapping[str, Any]] = (),
) -> Routing:
    """Return the routing of a feature from the JSON that the database stores.

    Args:
        processor: the feature's processor.
        fallback: its fallback.
        rules: the rules as in the file.
        choices: the processors that were chosen for rules to the cheapest one, by category. Without
            a choice the feature's processor takes the jobs.

    Returns:
        The routing. If a rule cannot be read, all jobs go to the fallback.
    """
    chosen = list(choices)
    try:
        read = tuple(
            each
            for number, rule in enumerate(rules, start=1)
            for each in _read_rule(rule, number, processor, chosen)
        )
    except (ValueError, LookupError, TypeError, AttributeError):
        read = (JobRule(fallback),)
    return Routing(processor, fallback, read)


def rule_identity(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a rule that a choice belongs to: another reason keeps the choice."""
    return {key: value for key, value in rule.items() if key != "because"}


def size_limits(written: str) -> tuple[int, int | None]:
    """Return the smallest and the largest size, both inclusive, of a comparison such as `<=10`.

    Raises:
        ValueError: It is not a comparison.
    """
    found = re.fullmatch(SIZE_PATTERN, written)
    if found is None:
        raise ValueError(f"{written!r} is not a comparison of a size")
    number = int(found[2])
    match found[1]:
        case "<=":
            return 0, number
        case "<":
            return 0, number - 1
        case ">=":
            return number, None
        case ">":
            return number + 1, None
        case _:
            return number, number


def _read_rule(
    rule: Mapping[str, Any], number: int, processor: str, choices: list[Mapping[str, Any]]
) -> Iterator[JobRule]:
    """Yield a rule; a rule to the cheapest processor has one for each chosen category before it."""
    when = rule.get("when", {})
    target = str(rule["to"])
    smallest, largest = size_limits(when["size"]) if "size" in when else (0, None)
    kinds, categories = frozenset(when.get("kind", ())), frozenset(when.get("category", ()))
    because, spill = str(rule.get("because", "")), rule.get("spill") is True
    if target == CHEAPEST:
        target = processor
        for each in choices:
            category = each["category"]
            if each["rule"] == rule_identity(rule) and (not categories or category in categories):
                yield JobRule(
                    each["processor"],
                    kinds,
                    smallest,
                    largest,
                    frozenset((category,)),
                    number,
                    because,
                    spill,
                )
    yield JobRule(target, kinds, smallest, largest, categories, number, because, spill)


def _is_full(load: Load | None) -> bool:
    return load is not None and load.is_full
