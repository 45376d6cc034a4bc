"""An adoption as text: what was found, and which repositories gain and lose each feature."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from reconciler.cli.render.text import for_line

if TYPE_CHECKING:
    from reconciler.database.adoption import AdoptedFeature, Adoption

MOST_NAMES: Final = 20
"""Repositories that are named of each side; the rest is counted."""


def adoption_lines(adoption: "Adoption") -> Iterator[str]:
    """Return the lines of an adoption, without colour."""
    yield from (for_line(note) for note in adoption.notes)
    yield (
        "audience, by the service's own function and then by the rollout; "
        f"bucketing {adoption.bucketing.value}"
    )
    for feature in adoption.features:
        yield from _feature_lines(feature, adoption.repositories)


def _feature_lines(feature: "AdoptedFeature", repositories: int) -> Iterator[str]:
    before = "not known" if feature.before is None else f"{feature.before:,}"
    yield (
        f"{for_line(feature.name)}   {before} → {feature.after:,} of {repositories:,} repositories"
        f"   +{len(feature.gained):,} gain   −{len(feature.lost):,} lose"
    )
    if feature.failure is not None:
        yield f"    the service's function fails for some: {for_line(feature.failure)}"
    for word, names in (("gain", feature.gained), ("lose", feature.lost)):
        if names:
            yield f"    {word}   {_named(names)}"


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(for_line(name) for name in names[:MOST_NAMES])
    more = len(names) - MOST_NAMES
    return f"{shown}, … ({more:,} more)" if more > 0 else shown
