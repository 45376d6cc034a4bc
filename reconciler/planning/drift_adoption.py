"""The changes of a file that make it declare held drift."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from reconciler.planning.drift import Decision, Drift
from reconciler.planning.export import Names
from reconciler.planning.feature_config import ListField, ScalarField
from reconciler.planning.live_state import Directory
from reconciler.rollout_file.model import Feature


@dataclass(frozen=True, slots=True)
class ValueToSet:
    """A key of a feature, and its new text."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class EntriesToRemove:
    """A list of a feature, and the entries to remove, as they are written."""

    key: str
    entries: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EntriesToAdd:
    """A list of a feature, and the entries to add, as they are to be written."""

    key: str
    entries: tuple[str, ...]


FileChange = ValueToSet | EntriesToRemove | EntriesToAdd


def as_adopted(drift: Iterable[Drift]) -> tuple[Drift, ...]:
    """Return the held part of this drift, as adopted."""
    held = (each for each in drift if each.decision is Decision.HOLD)
    return tuple(replace(each, decision=Decision.ADOPT) for each in held)


def changes_to_adopt(
    feature: Feature, drift: Iterable[Drift], directory: Directory, names: Names
) -> list[FileChange]:
    """Return the changes that make a feature of the file declare the live state, removals first.

    Args:
        feature: as the file has it.
        drift: the drift to adopt.
        directory: the meaning of the file's entries.
        names: the name of every id in the live values of the drift.
    """
    changes = [change for each in drift for change in _changes(feature, each, directory, names)]
    return sorted(changes, key=lambda each: isinstance(each, EntriesToAdd))


def _changes(
    feature: Feature, drift: Drift, directory: Directory, names: Names
) -> Iterator[FileChange]:
    match drift.field:
        case ScalarField(name=key):
            yield ValueToSet(key, str(drift.live))
        case ListField(name=key):
            live = directory.keys(drift.live)
            written: tuple[str, ...] = getattr(feature, key)
            yield EntriesToRemove(
                key, tuple(each for each in written if directory.key(each) not in live)
            )
            if key == "exclusions":
                excluded = (each for each in feature.whitelist if directory.key(each) in live)
                yield EntriesToRemove("whitelist", tuple(excluded))
            missing = live - directory.keys(written)
            yield EntriesToAdd(key, tuple(sorted(map(names.entry, missing), key=str.lower)))
