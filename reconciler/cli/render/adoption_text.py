"""An adoption as text: what was found, and which repositories gain and lose each feature."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from reconciler.cli.render.text import for_line, listed, wrapped

if TYPE_CHECKING:
    from reconciler.database.adoption import AdoptedFeature, Adoption

MOST_NAMES: Final = 20
"""Repositories that are named of each side; the rest is counted, and `--format json` names all."""


def adoption_lines(adoption: "Adoption") -> Iterator[str]:
    """Return the lines of an adoption, without colour."""
    for note in adoption.notes:
        yield from wrapped(for_line(note))
    yield from wrapped(
        "audience, by the service's own function and then by the rollout; "
        f"bucketing {adoption.bucketing.value}"
    )
    for feature in adoption.features:
        yield from _feature_lines(feature, adoption.repositories)
    if any(len(names) > MOST_NAMES for each in adoption.features for names in _sides(each)):
        yield "for every name: reconcile db upgrade --dry-run --format json"


def _sides(feature: "AdoptedFeature") -> tuple[tuple[str, ...], tuple[str, ...]]:
    return feature.gained, feature.lost


def _feature_lines(feature: "AdoptedFeature", repositories: int) -> Iterator[str]:
    before = "not known" if feature.before is None else f"{feature.before:,}"
    yield from wrapped(
        f"{for_line(feature.name)}   {before} → {feature.after:,} of {repositories:,} repositories"
        f"   +{len(feature.gained):,} gain   −{len(feature.lost):,} lose"
    )
    if feature.failure is not None:
        failure = f"the service's function fails for some: {for_line(feature.failure)}"
        yield from wrapped(failure, indent="    ")
    for word, names in zip(("gain", "lose"), _sides(feature), strict=True):
        if names:
            yield from listed(word, map(for_line, names[:MOST_NAMES]), ", ", len(names))
