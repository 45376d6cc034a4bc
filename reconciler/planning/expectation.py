"""What a person saw of a plan: an apply of that plan requires it still."""

from dataclasses import dataclass

from reconciler.planning.report import PlanReport


@dataclass(frozen=True, slots=True)
class Expectation:
    """The state from which a printed plan was made."""

    file_digest: str
    generation: int
    plan_digest: str


def expect(report: PlanReport) -> Expectation:
    """Return the conditions under which this plan can be applied as it was printed."""
    return Expectation(report.file_digest, report.generation, report.plan_digest)


def what_moved(expected: Expectation, now: PlanReport) -> tuple[str, ...]:
    """Return the differences since a plan was printed, causes before effects."""
    moved = []
    if now.file_digest != expected.file_digest:
        moved.append("the file changed")
    if now.generation != expected.generation:
        moved.append(f"generation {expected.generation} is {now.generation} now")
    if not moved and now.plan_digest != expected.plan_digest:
        moved.append("the live state changed, or the repositories did")
    return tuple(moved)
