"""The checker of a round: it knows what the clients were answered and what is there at the end, no more."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID


@dataclass
class Answers:
    """What the clients of one round were answered."""

    stops: dict[str, UUID] = field(default_factory=dict)
    """By feature: the override of each answered stop."""
    unanswered_stops: set[str] = field(default_factory=set)
    """The features of stops that ended with an unknown outcome, or with an error."""
    applies: dict[int, Decimal] = field(default_factory=dict)
    """By generation: the percentage of each answered apply."""
    doubled_generations: list[int] = field(default_factory=list)
    """Generations that two applies were answered with."""
    jobs: int = 0
    """Jobs whose record was answered."""
    unanswered_jobs: int = 0
    failures: list[str] = field(default_factory=list)
    """Acts that ended with an error instead of waiting for a server."""
    widened: list[str] = field(default_factory=list)
    """Features that the listening client answered with yes again, after a no."""


@dataclass(frozen=True)
class OverrideRow:
    """An override in the database."""

    feature: str
    id: UUID
    state: str


@dataclass(frozen=True)
class HistoryRow:
    """A row of history."""

    feature: str | None
    action: str
    override: str | None
    generation: int | None


@dataclass(frozen=True)
class End:
    """What is there at the end of a round."""

    overrides: Sequence[OverrideRow]
    stopped: frozenset[str]
    """The features that are stopped."""
    history: Sequence[HistoryRow]
    generations: Mapping[int, Decimal]
    """By generation: the percentage of the feature that applies change."""
    jobs: int
    in_git: Mapping[str, UUID]
    """By feature: the override in the file on the branch."""
    eligible: frozenset[str]
    """The features that the listening client answers with yes."""


LIMITS = frozenset({"emergency_stop", "restored"})


def violations(answers: Answers, end: End, *, is_synchronous: bool) -> Iterator[str]:
    """Yield each broken promise, as a sentence.

    Args:
        answers: what the clients were answered.
        end: what is there.
        is_synchronous: whether a standby confirmed each COMMIT. Otherwise a failover may lose applies and
            jobs; stops are put back.
    """
    yield from answers.failures
    yield from _stops(answers, end)
    yield from _history(end)
    yield from _listener(answers, end)
    if is_synchronous:
        yield from _generations(answers, end)
        yield from _jobs(answers, end)


def _stops(answers: Answers, end: End) -> Iterator[str]:
    on = {row.feature: row.id for row in end.overrides if row.state == "on"}
    for feature, override in answers.stops.items():
        if on.get(feature) != override:
            yield f"the answered stop of {feature} is lost"
    if on.keys() != end.stopped:
        yield f"stopped features and overrides differ: {sorted(on.keys() ^ end.stopped)}"
    if others := on.keys() - answers.stops.keys() - answers.unanswered_stops:
        yield f"no client stopped {sorted(others)}"
    if dict(end.in_git) != on:
        yield f"git and the database differ: {sorted(map(str, end.in_git.items() ^ on.items()))}"


def _history(end: End) -> Iterator[str]:
    on = {row.feature: row.id for row in end.overrides if row.state == "on"}
    for row in end.overrides:
        if row.state != "on":
            yield f"an override of {row.feature} is {row.state}, and no person resumed it"
    limits = Counter((row.feature, row.override) for row in end.history if row.action in LIMITS)
    for feature, override in on.items():
        if limits.pop((feature, str(override)), 0) != 1:
            yield f"the stop of {feature} has not exactly one row of history"
    if limits:
        yield f"rows of history without an override: {sorted(map(str, limits))}"
    if any(row.action == "resumed" for row in end.history):
        yield "history has a resume, and no person resumed"


def _generations(answers: Answers, end: End) -> Iterator[str]:
    if sorted(end.generations) != list(range(1, len(end.generations) + 1)):
        yield f"generations have a gap: {sorted(end.generations)}"
    for generation in answers.doubled_generations:
        yield f"two applies were answered with generation {generation}"
    for generation, percentage in answers.applies.items():
        if end.generations.get(generation) != percentage:
            yield f"the answered apply of generation {generation} is lost"
    rows = Counter(row.generation for row in end.history if row.action == "percentage_changed")
    wanted = {
        generation: 1
        for generation, percentage in end.generations.items()
        if generation > 1 and end.generations.get(generation - 1) != percentage
    }
    if dict(rows) != wanted:
        yield "generations and their rows of history differ"


def _jobs(answers: Answers, end: End) -> Iterator[str]:
    if not answers.jobs <= end.jobs <= answers.jobs + answers.unanswered_jobs:
        yield (
            f"{end.jobs} jobs are there; {answers.jobs} were answered, {answers.unanswered_jobs} were not"
        )


def _listener(answers: Answers, end: End) -> Iterator[str]:
    for feature in answers.widened:
        yield f"the client answered {feature} with yes after a no"
    if wrong := answers.stops.keys() & end.eligible:
        yield f"the client still answers with yes: {sorted(wrong)}"
