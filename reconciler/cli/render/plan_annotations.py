"""A plan as annotations: refusals, drift and warnings at the lines of the file that they are about."""

from collections.abc import Iterator, Mapping

from reconciler.cli.render.annotations import Annotation, Level
from reconciler.cli.render.drift_words import describe_drift
from reconciler.planning.drift import Decision
from reconciler.planning.guards import (
    Finding,
    ListEmptied,
    TooMuchGain,
    TooMuchIncrease,
    TooMuchRemoval,
)
from reconciler.planning.plan import FeaturePlan, Plan
from reconciler.planning.promotion import (
    HealthNotPassing,
    StageLimited,
    StageNotSoaked,
    StageSkipped,
)
from reconciler.rollout_file.nodes import KeyPath, Place
from reconciler.rollout_file.reader import Document

_LISTS = ("whitelist", "exclusions")


def plan_annotations(plan: Plan, document: Document) -> Iterator[Annotation]:
    """Yield what a reviewer of the file has to know, most pressing first within a feature."""
    for feature in plan.features:
        yield from _findings(feature, plan, document)
        yield from _drift(feature, document)
        for warning in feature.warnings:
            yield _at(document, (feature.name,), Level.WARNING, warning, feature.name)
        yield from _unresolved(feature, document)


def _findings(feature: FeaturePlan, plan: Plan, document: Document) -> Iterator[Annotation]:
    for finding in feature.findings:
        is_allowed = finding.guard in plan.allowed_for(feature.name)
        level = Level.NOTICE if is_allowed else Level.ERROR
        title = f"{finding.guard} {'allowed' if is_allowed else 'refused'}"
        path = (feature.name, *_key_of(finding))
        yield _at(document, path, level, f"{feature.name}: {finding.message}", title)


def _key_of(finding: Finding) -> KeyPath:
    match finding:
        case (
            TooMuchIncrease()
            | StageSkipped()
            | StageNotSoaked()
            | StageLimited()
            | HealthNotPassing()
        ):
            return ("percentage",)
        case TooMuchRemoval() | ListEmptied():
            return (finding.list_name,)
        case TooMuchGain():
            return ("guards", "max_gain")
        case _:
            return ()


def _drift(feature: FeaturePlan, document: Document) -> Iterator[Annotation]:
    for drift in feature.drift:
        is_held = drift.decision is Decision.HOLD
        level, title = (Level.ERROR, "held drift refused") if is_held else (Level.WARNING, "drift")
        message = f"{feature.name}: {describe_drift(drift)}"
        yield _at(document, (feature.name, drift.field.name), level, message, title)


def _unresolved(feature: FeaturePlan, document: Document) -> Iterator[Annotation]:
    unknown = frozenset(feature.unresolved)
    desired = document.rollout.features.get(feature.name)
    if desired is None or not unknown:
        return
    for key in _LISTS:
        for index, entry in enumerate(getattr(desired, key)):
            if entry in unknown:
                message = f"{entry} is not known to the database yet"
                yield _at(document, (feature.name, key, index), Level.NOTICE, message, feature.name)


def _at(document: Document, path: KeyPath, level: Level, message: str, title: str) -> Annotation:
    place = _place(document.places, ("features", *path))
    return Annotation(
        level, message, title, file=document.path, line=place.line, column=place.column
    )


def _place(places: Mapping[KeyPath, Place], path: KeyPath) -> Place:
    """Return where a path is written, or the nearest that is around it."""
    while path not in places and path:
        path = path[:-1]
    return places[path]
