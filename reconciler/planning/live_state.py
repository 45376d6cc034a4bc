"""The live state that an apply reads, and the meaning of the file's names in the database."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from reconciler.planning.feature_config import Configuration
from reconciler.planning.overrides import StoredOverride
from reconciler.rollout_file.list_entries import entry_key, entry_keys, is_pattern
from reconciler.rollout_file.notifications import Target
from reconciler.rollout_file.routing import Processor
from rollout_client.targeting.buckets import Bucketing
from rollout_client.targeting.categories import Category, Threshold
from rollout_client.targeting.strategy import Strategy


def names_among(entries: Iterable[str], ids: Mapping[str, str]) -> Mapping[str, str]:
    """Return the names of a list that have an id, as keys, each with its id.

    Args:
        entries: the list.
        ids: `owner/name` in lower case → its id.
    """
    return {key: ids[key] for key in entry_keys(entries) if key in ids}


@dataclass(frozen=True, slots=True)
class Directory:
    """The repositories in a plan, by key and by id; ids are lower-case text."""

    ids: Mapping[str, str]
    """`owner/name` in lower case → id, for the names of the file that the database knows."""
    names: Mapping[str, str]
    """Id → `owner/name` in its spelling, for the known ids in the plan."""
    owned: Mapping[str, frozenset[str]]
    """`owner/*` in lower case → the ids of that owner's repositories, for marks as test."""
    remembered: Mapping[str, str] = field(default_factory=dict)
    """`owner/name` in lower case → its id at the last apply."""

    def key(self, entry: str) -> str:
        """Return the key of a list's entry in the database.

        A name that is not found now keeps its id of the last apply: the repository was renamed.
        """
        written = entry_key(entry)
        return self.ids.get(written) or self.remembered.get(written, written)

    def keys(self, entries: Iterable[str]) -> frozenset[str]:
        """Return the keys of a list's entries, which can be many: each as `key` returns it."""
        return frozenset(self._keys_in_order(entries))

    def _keys_in_order(self, entries: Iterable[str]) -> list[str]:
        written = entry_keys(entries)
        # `map` calls `get` without a step of the interpreter for each entry.
        return list(map(self.ids.get, written, map(self.remembered.get, written, written)))

    def excluded_keys(self, entries: Iterable[str]) -> frozenset[str]:
        """Return the keys of exclusions.

        A name that belongs to another repository now excludes both: this one, and that of the last
        apply.
        """
        written = list(entries)
        return self.keys(written) | frozenset(names_among(written, self.remembered).values())

    def excluded_names(
        self, names: Mapping[str, str], exclusions: frozenset[str], live: frozenset[str]
    ) -> frozenset[str]:
        """Return the names that stand beside the ids of exclusions.

        The database stores the name of an excluded id only while it finds the repository. So an id that is
        not excluded live comes back with its name, if its repository is gone or renamed. A name that is
        excluded live stays.

        Args:
            names: the names of the exclusions, each with its id at the last apply.
            exclusions: the ids to exclude.
            live: the live exclusions.
        """
        return frozenset(
            name
            for name, key in names.items()
            if key in exclusions
            and (name in live or (key not in live and entry_key(self.names.get(key, "")) != name))
        )

    def name(self, key: str) -> str:
        """Return a key for people: the repository's name if it is known."""
        return self.names.get(key, key)

    def is_resolved(self, key: str) -> bool:
        """Return whether a key matches something now: a known repository, or a pattern."""
        return key in self.names or is_pattern(key)

    def unresolved(self, entries: Collection[str], keys: frozenset[str]) -> tuple[str, ...]:
        """Return the entries that match nothing in the database yet, by name.

        Args:
            entries: the entries.
            keys: their keys, and maybe others.
        """
        unknown = {key for key in keys.difference(self.names) if not is_pattern(key)}
        if not unknown:
            return ()
        in_order = self._keys_in_order(entries)
        return tuple(
            sorted(entry for entry, key in zip(entries, in_order, strict=True) if key in unknown)
        )

    def is_renamed(self, entry: str) -> bool:
        """Return whether an entry's name is not found any more, but its repository is."""
        written = entry_key(entry)
        return written not in self.ids and self.remembered.get(written) in self.names

    def is_reused(self, entry: str) -> bool:
        """Return whether an entry's name belongs to another repository than at the last apply."""
        written = entry_key(entry)
        before, now = self.remembered.get(written), self.ids.get(written)
        return before is not None and now is not None and before != now


@dataclass(frozen=True, slots=True)
class LiveFeature:
    """One row of `rollout_configuration`, with its overrides."""

    id: UUID
    configuration: Configuration
    updated_at: datetime
    overrides: tuple[StoredOverride, ...] = ()
    was_lowered: bool = False
    """Whether it was open further than now, of a feature that no apply knows."""
    was_deactivated: bool = False
    """Whether it was active before and is not now, of a feature that no apply knows."""
    adopted: Configuration | None = None
    """How the adoption found it, of a feature that no apply knows; None without an adoption."""


def read_adopted(live: Configuration, stored: object) -> Configuration | None:
    """Return a configuration with the strategy, salt, bucketing and lists that the adoption recorded.

    `stored` is the state in its row of history; None if that cannot be read.
    """
    if not isinstance(stored, dict):
        return None
    try:
        return replace(
            live,
            strategy=Strategy(stored["strategy"]),
            salt=str(stored["salt"]),
            bucketing=Bucketing(stored["bucketing"]),
            whitelist=frozenset(map(str, stored["whitelist"])),
            exclusions=frozenset(map(str, stored["exclusions"])),
        )
    except (KeyError, TypeError, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class Live:
    """The database's side of a plan."""

    generation: int
    applied_commit: str | None
    features: Mapping[str, LiveFeature]
    marked: frozenset[str]
    """The ids of the repositories marked as test."""
    thresholds: Mapping[Category, Threshold]
    directory: Directory
    targets: Mapping[str, Target] = field(default_factory=dict)
    """The receivers of notifications by name."""
    processors: Mapping[str, Processor] = field(default_factory=dict)
    """The prices of processors by name."""
    now: datetime | None = None
    """By the database's clock, read when its state was; None without a database."""
