"""How a watcher does, as a value: what `/healthz` and `/metrics` are made from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from reconciler.planning.health import Health
from reconciler.planning.watch import is_silent


class Role(StrEnum):
    """What a watcher is."""

    STARTING = "starting"
    """No tick has told yet."""
    ACTIVE = "active"
    STANDBY = "standby"


@dataclass(frozen=True, slots=True)
class WatchedFeature:
    """One feature after a tick."""

    name: str
    health: Health
    is_limited: bool
    """Whether an override is in force."""


@dataclass(frozen=True, slots=True)
class WatchStatus:
    """How a watcher does."""

    interval_seconds: float
    role: Role = Role.STARTING
    ticks: int = 0
    """Those that succeeded, standing by as well."""
    failed_ticks: int = 0
    last_tick: float | None = None
    """When the last one succeeded, by a clock that only goes forward."""
    last_tick_at: float | None = None
    """The same in seconds since 1970."""
    features: tuple[WatchedFeature, ...] = ()
    """None while standing by."""
    pending: int = 0
    """Overrides that git does not have yet."""
    rollbacks: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """How often this process rolled back which feature."""

    def is_healthy(self, now: float) -> bool:
        """Tell whether it ticks; standing by is as healthy as being active."""
        return not is_silent(self._seconds_since_tick(now), self.interval_seconds)

    def report(self, now: float) -> dict[str, Any]:
        """Return what `/healthz` answers."""
        since = self._seconds_since_tick(now)
        return {
            "status": "ok" if self.is_healthy(now) else "silent",
            "role": self.role.value,
            "ticks": self.ticks,
            "seconds_since_tick": None if since is None else round(since, 3),
            "interval_seconds": self.interval_seconds,
        }

    def _seconds_since_tick(self, now: float) -> float | None:
        return None if self.last_tick is None else now - self.last_tick
