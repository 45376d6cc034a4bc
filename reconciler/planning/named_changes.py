"""What a plan changes about things that have names: receivers of notifications, freezes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

Named = TypeVar("Named")


@dataclass(frozen=True)
class NamedChanges(Generic[Named]):
    """The things before and after an apply, by name."""

    before: Mapping[str, Named] = field(default_factory=dict)
    after: Mapping[str, Named] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.added) + len(self.removed) + len(self.changed)

    @property
    def added(self) -> Mapping[str, Named]:
        """Those that come."""
        return {name: each for name, each in self.after.items() if name not in self.before}

    @property
    def removed(self) -> Mapping[str, Named]:
        """Those that go."""
        return {name: each for name, each in self.before.items() if name not in self.after}

    @property
    def changed(self) -> Mapping[str, tuple[Named, Named]]:
        """Those that stay and differ: as they were, and as they are to be."""
        return {
            name: (each, self.after[name])
            for name, each in self.before.items()
            if name in self.after and self.after[name] != each
        }

    @property
    def parts(self) -> Mapping[str, Mapping[str, Any]]:
        """All of them as a report of a plan has them: `added`, `removed` and `changed`, by name."""
        changed = {
            name: {"before": before, "after": after}
            for name, (before, after) in self.changed.items()
        }
        return {"added": self.added, "removed": self.removed, "changed": changed}

    @property
    def pairs(self) -> Mapping[str, tuple[Named | None, Named | None]]:
        """All of them: before and after, None where there is none."""
        return {
            **{name: (None, each) for name, each in self.added.items()},
            **{name: (each, None) for name, each in self.removed.items()},
            **self.changed,
        }
