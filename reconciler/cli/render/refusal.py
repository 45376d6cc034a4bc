"""What a refused plan tells a person: that nothing was written, and the ways to go on."""

from collections.abc import Iterator

from reconciler.planning.plan import Plan

HEADLINE = "Refused: nothing was written. A person decides:"


def ways_on(plan: Plan) -> Iterator[str]:
    """Yield each way to go on, in a sentence."""
    if guards := sorted({finding.guard for _, finding in plan.refusing}):
        flags = " ".join(f"--allow {guard}" for guard in guards)
        trailers = " and ".join(f"Rollout-Allow: {guard}" for guard in guards)
        yield "change the file so that it asks for less"
        yield (
            f"or allow it by name: {flags}; "
            f"in a pull request by a trailer of one of its commits: {trailers}"
        )
    if plan.held:
        yield f"somebody narrowed {', '.join(plan.held)} live"
        yield "keep that by writing it into the file: reconcile drift adopt"
        yield "or take it back: reconcile drift revert"
