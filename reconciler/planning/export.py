"""The live state as a desired state: the file whose plan changes nothing.

A file can express less than a database can hold. A value that it cannot express is left out, or
replaced by the nearest one that is not wider. A remark reports each such value.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from dataclasses import fields as dataclass_fields
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import uuid5

from reconciler.planning.feature_config import SCALAR_FIELDS, Configuration
from reconciler.planning.live_state import Live, LiveFeature
from reconciler.planning.overrides import OverrideState, narrow
from reconciler.rollout_file.characters import one_line, quoted, text_problem
from reconciler.rollout_file.durations import (
    LONGEST_DURATION,
    SHORTEST_DURATION,
    format_duration,
)
from reconciler.rollout_file.list_entries import entry_key, is_entry
from reconciler.rollout_file.model import (
    DEFAULT_FALLBACK,
    DEFAULT_PROCESSOR,
    MAX_DESCRIPTION_LENGTH,
    MAX_SALT_LENGTH,
    Feature,
    Guards,
    Health,
    Rollout,
)
from reconciler.rollout_file.override import MAX_AUTHOR_LENGTH, MAX_REASON_LENGTH, Override
from reconciler.rollout_file.value_types import (
    FEATURE_NAME_PATTERN,
    MAX_PRIORITY,
    MAX_PROCESSOR_LENGTH,
    MOST_INTEGER,
    whole,
)
from reconciler.uuid_text import is_uuid
from rollout_client.targeting.categories import DEFAULT_THRESHOLDS, Category, Threshold

IMPORTED_STOP_REASON: Final = "found stopped by an import"
IMPORTED_BY: Final = "import"


@dataclass(frozen=True, slots=True)
class Names:
    """The names of repositories, if a name identifies one repository only."""

    by_id: Mapping[str, str]
    """Id → `owner/name` in its spelling, if that name identifies only this id."""
    ids: Mapping[str, str]
    """`owner/name` in lower case → id, for names in the lists that the database knows."""

    def entry(self, key: str) -> str:
        """Return a key as a file writes it: the repository's name if it identifies the repository."""
        return self.by_id.get(key, key) if is_uuid(key) else key


@dataclass(frozen=True, slots=True)
class Description:
    """A desired state, and remarks on the parts of the live state that it does not express."""

    rollout: Rollout
    remarks: tuple[str, ...]


def describe(live: Live, names: Names, last_file: Rollout | None = None) -> Description:
    """Return the live state as a desired state.

    Args:
        live: the state of the database.
        names: of every id and name in its lists and marks.
        last_file: the content of the last applied file. Values that are not live (guards, progression,
            the percentage under an override) come from it.
    """
    remarks: list[str] = []
    known = {} if last_file is None else last_file.features
    features = {
        name: _describe_feature(name, found, known.get(name), names, remarks)
        for name, found in sorted(live.features.items())
        if _has_name(name, found, remarks)
    }
    marks = _entries(live.marked, names, "test_repositories", remarks)
    rollout = Rollout(
        version=1,
        features=features,
        test_repositories=marks,
        categories=dict(_thresholds(live.thresholds, remarks)),
        processors=dict(live.processors),
    )
    return Description(rollout, tuple(remarks))


def _has_name(name: str, found: LiveFeature, remarks: list[str]) -> bool:
    if re.fullmatch(whole(FEATURE_NAME_PATTERN), name):
        return True
    consequence = "an apply deactivates it" if found.configuration.active else "it is inactive"
    remarks.append(
        f"{quoted(name)} is not a valid feature name in a file, so it is left out, and "
        f"{consequence}; rename it in public.rollout_configuration first"
    )
    return False


def _describe_feature(
    name: str, found: LiveFeature, written: Feature | None, names: Names, remarks: list[str]
) -> Feature:
    said: list[str] = []
    configuration = found.configuration
    override = _override(found)
    percentage = _percentage(configuration, override, written)
    exclusions = _entries(configuration.exclusions, names, "exclusions", said)
    declared = _declared(configuration)
    values = _part(declared, "") | {
        "description": _text(
            configuration.description, "the description", MAX_DESCRIPTION_LENGTH, said
        ),
        "percentage": percentage,
        "salt": _salt(name, configuration.salt, said),
        "whitelist": _without(
            exclusions, _entries(configuration.whitelist, names, "whitelist", said), said
        ),
        "exclusions": exclusions,
        "processor": _processor(configuration.processor, DEFAULT_PROCESSOR, "processor", said),
        "fallback": _processor(configuration.fallback, DEFAULT_FALLBACK, "fallback", said),
    }
    health = _part(declared, "health.") | {
        "min_jobs": _min_jobs(configuration.min_jobs, said),
        "window": _window(configuration.window, said),
    }
    feature = Feature(
        **values,
        health=Health(**health),
        guards=Guards() if written is None else written.guards,
        progression=() if written is None else written.progression,
        override=override,
    )
    remarks += (f"{name}: {each}" for each in said)
    return feature


def _declared(configuration: Configuration) -> dict[str, Any]:
    """Return the values that a file declares, by their places in the model."""
    return {
        field.declared_at: field.read(configuration)
        for field in SCALAR_FIELDS
        if field.declared_at is not None
    }


def _part(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return the values of one part of the model, by their names there."""
    names = {place: place.removeprefix(prefix) for place in values if place.startswith(prefix)}
    return {name: values[place] for place, name in names.items() if "." not in name}


def _override(found: LiveFeature) -> Override | None:
    """Return the limit of a feature: the override that is on, or a stop that was set by hand."""
    on = next((row.override for row in found.overrides if row.state is OverrideState.ON), None)
    is_told = on is not None and on.percentage is None
    if found.configuration.emergency_stop and not is_told:
        return Override(
            # The same id at every import of the same stop, and another one for the next stop.
            id=uuid5(found.id, f"stopped at {found.updated_at.isoformat()}"),
            emergency_stop=True,
            reason=IMPORTED_STOP_REASON,
            by=IMPORTED_BY,
            at=found.updated_at,
        )
    if on is None:
        return None
    return on.model_copy(
        update={
            "reason": one_line(on.reason, MAX_REASON_LENGTH),
            "by": one_line(on.by, MAX_AUTHOR_LENGTH),
        }
    )


def _percentage(
    configuration: Configuration,
    override: Override | None,
    written: Feature | None,
) -> Decimal:
    """Return the desired percentage: the last file's, if an override hides it."""
    live = configuration.percentage
    if override is None:
        return live
    if written is not None:
        desired = replace(configuration, percentage=written.percentage)
        if narrow(desired, override).percentage == live:
            return written.percentage
    return live


def _salt(name: str, salt: str, said: list[str]) -> str | None:
    if salt == name:
        return None
    if _text(salt, "the salt", MAX_SALT_LENGTH, said) is None:
        said.append("with another salt an apply chooses other repositories by percentage")
        return None
    return salt


def _processor(live: str, default: str, what: str, said: list[str]) -> str:
    found = _text(live, f"the {what}", MAX_PROCESSOR_LENGTH, said)
    return default if found is None else found


def _text(text: str | None, what: str, longest: int, said: list[str]) -> str | None:
    if text is None:
        return None
    if not text.strip() or len(text) > longest or text_problem(text) is not None:
        said.append(
            f"{what} {quoted(text)} is not one line of 1 to {longest:,} characters; it is left out"
        )
        return None
    return text


def _entries(keys: Iterable[str], names: Names, what: str, said: list[str]) -> tuple[str, ...]:
    entries: dict[str, str] = {}
    for key in sorted(keys):
        if not is_entry(key):
            said.append(f"{what}: {quoted(key)} is not a valid list entry, so it is left out")
            continue
        if key in names.ids:
            said.append(f"{what}: {key} is a known repository now; an apply stores its id instead")
        entry = names.entry(key)
        entries.setdefault(entry_key(entry), entry)
    return tuple(entries[key] for key in sorted(entries))


def _without(
    exclusions: tuple[str, ...], whitelist: tuple[str, ...], said: list[str]
) -> tuple[str, ...]:
    """Return the whitelist without entries that are also excluded: exclusions win."""
    excluded = {entry_key(entry) for entry in exclusions}
    said += (
        f"whitelist: {entry} is also excluded; exclusions win, so it is left out here"
        for entry in whitelist
        if entry_key(entry) in excluded
    )
    return tuple(entry for entry in whitelist if entry_key(entry) not in excluded)


def _min_jobs(live: int, said: list[str]) -> int:
    min_jobs = max(1, live)
    if min_jobs != live:
        said.append(f"min_jobs {live} is written as {min_jobs}")
    return min_jobs


def _window(live: timedelta, said: list[str]) -> timedelta:
    seconds = -(-live // timedelta(seconds=1))
    window = min(LONGEST_DURATION, max(SHORTEST_DURATION, timedelta(seconds=seconds)))
    if window != live:
        said.append(f"window {format_duration(live)} is written as {format_duration(window)}")
    return window


def _thresholds(
    thresholds: Mapping[Category, Threshold], remarks: list[str]
) -> Iterator[tuple[Category, Threshold]]:
    for category, threshold in thresholds.items():
        written = _threshold(category, threshold)
        for field in dataclass_fields(Threshold):
            before, after = getattr(threshold, field.name), getattr(written, field.name)
            if before != after:
                remarks.append(
                    f"categories.{category.value}.{field.name}: {_shown(before)} is written as "
                    f"{_shown(after)}"
                )
        if written != DEFAULT_THRESHOLDS[category]:
            yield category, written


def _threshold(category: Category, threshold: Threshold) -> Threshold:
    priority = min(MAX_PRIORITY, max(0, threshold.priority))
    if category is Category.ENTERPRISE:
        # The category for repositories over every threshold, so it has no threshold.
        return Threshold(None, None, None, priority)
    return Threshold(
        stars=_limit(threshold.stars),
        contributors=_limit(threshold.contributors),
        pull_requests=_limit(threshold.pull_requests),
        priority=priority,
    )


def _limit(figure: int | None) -> int:
    # No limit is stored as the largest integer.
    return MOST_INTEGER if figure is None else figure


def _shown(figure: int | None) -> str:
    return "no limit" if figure is None else str(figure)
