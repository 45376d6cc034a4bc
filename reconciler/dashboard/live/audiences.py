"""How many repositories have each feature: counted in the background, kept, and shown with their age.

A page never waits for a count. A count is made again when its feature changes, and after some minutes.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock, Thread
from typing import Final

from reconciler.database.audience import read_audience
from reconciler.database.job_series import read_now
from reconciler.database.now import FeatureNow
from reconciler.database.transactions import Database, read_only_transaction
from reconciler.errors import ReconcilerError

KEPT_FOR: Final = timedelta(minutes=5)
_LOG = logging.getLogger("reconciler.dashboard")


@dataclass(frozen=True, slots=True)
class KeptCount:
    """The repositories of a feature, as of some time ago."""

    eligible: int
    repositories: int
    is_estimated: bool
    at: datetime
    """The database's time of the count."""
    of: datetime
    """The last change of the feature that the count knows."""


class Audiences:
    """The kept counts of one process; `on_counted` is called when new ones are there."""

    def __init__(self, database: Database, on_counted: Callable[[], None]) -> None:
        self._database = database
        self._on_counted = on_counted
        self._counts: dict[str, KeptCount] = {}
        self._lock = Lock()
        self._thread: Thread | None = None

    def get(self, feature: FeatureNow) -> KeptCount | None:
        """Return the count of a feature as it is now; None if it is not there yet."""
        found = self._counts.get(feature.name)
        return found if found is not None and found.of == feature.updated_at else None

    def refresh(self, features: Sequence[FeatureNow], now: datetime) -> None:
        """Count in the background those of these features that have no recent count."""
        wanted = [each for each in features if self._is_wanted(each, now)]
        with self._lock:
            if wanted and self._thread is None:
                self._thread = Thread(
                    target=self._count, args=(wanted,), name="audiences", daemon=True
                )
                self._thread.start()

    def _is_wanted(self, feature: FeatureNow, now: datetime) -> bool:
        found = self.get(feature)
        return found is None or now - found.at > KEPT_FOR

    def _count(self, features: Sequence[FeatureNow]) -> None:
        try:
            for feature in features:
                self._counts[feature.name] = self._counted(feature)
        except ReconcilerError as error:
            _LOG.info("eligible repositories could not be counted: %s", error)
        finally:
            with self._lock:
                self._thread = None
            self._on_counted()

    def _counted(self, feature: FeatureNow) -> KeptCount:
        with read_only_transaction(self._database) as connection:
            found, now = read_audience(connection, feature.name), read_now(connection)
        return KeptCount(
            found.eligible, found.repositories, found.is_estimated, now, feature.updated_at
        )
