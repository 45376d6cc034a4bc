"""A saved plan: what was shown, held against what would be done now."""

from dataclasses import dataclass

from reconciler.planning.report import PlanReport


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a plan that somebody saw was made of."""

    file_digest: str
    generation: int
    plan_digest: str


def expect(report: PlanReport) -> Expectation:
    """Return what has to hold for this plan to be applied as it was shown."""
    return Expectation(report.file_digest, report.generation, report.plan_digest)


def what_moved(expected: Expectation, now: PlanReport) -> tuple[str, ...]:
    """Return what is no longer as it was when a plan was shown, the cause before its effects."""
    moved = []
    if now.file_digest != expected.file_digest:
        moved.append("the file changed")
    if now.generation != expected.generation:
        moved.append(f"generation {expected.generation} is {now.generation} now")
    if not moved and now.plan_digest != expected.plan_digest:
        moved.append("the live state changed, or the repositories did")
    return tuple(moved)
