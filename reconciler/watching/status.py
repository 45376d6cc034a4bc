"""The status of the watch as a value, from which `/healthz` and `/metrics` are made."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from reconciler.database.outbox import OutboxCounts
from reconciler.planning.health import Health
from reconciler.planning.watch import is_silent


class Role(StrEnum):
    """The role of a watcher."""

    STARTING = "starting"
    """No tick has ended yet."""
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
    """The status of a watcher."""

    interval_seconds: float
    role: Role = Role.STARTING
    ticks: int = 0
    """Ticks that succeeded, those on standby included."""
    failed_ticks: int = 0
    last_tick: float | None = None
    """Seconds of a monotonic clock at the last tick that succeeded."""
    last_tick_at: float | None = None
    """The same in seconds since 1970."""
    features: tuple[WatchedFeature, ...] = ()
    """Empty on standby."""
    pending: int = 0
    """Overrides that are not in git yet."""
    outbox: OutboxCounts | None = None
    """The notifications that wait or are dead; None where none are delivered."""

    def is_healthy(self, now: float) -> bool:
        """Return whether ticks succeed; a standby watcher can be as healthy as the active one."""
        return not is_silent(self._seconds_since_tick(now), self.interval_seconds)

    def report(self, now: float) -> dict[str, Any]:
        """Return the body of `/healthz`."""
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
