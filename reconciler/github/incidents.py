"""Incidents: features that an override limits, and features that fail.

Each gets an issue (`issues`); `cli/render` writes its text.
"""

from dataclasses import dataclass

from reconciler.database.health import read_healths
from reconciler.database.names import read_feature_names
from reconciler.database.override_actions import read_feature
from reconciler.database.schema import require_newest
from reconciler.database.transactions import Database, read_only_transaction
from reconciler.planning.health import Health, Reason, Verdict
from reconciler.rollout_file.override import Override


@dataclass(frozen=True, slots=True)
class Incident:
    """A feature that an override limits, or that fails."""

    feature: str
    override: Override | None
    """The override in force."""
    health: Health


def read_incidents(database: Database) -> tuple[Incident, ...]:
    """Return the features that an override limits or that fail, also with the fallback, by name."""
    with read_only_transaction(database) as connection:
        require_newest(connection)
        names = read_feature_names(connection)
        healths = read_healths(connection, names, eligible={})
        found = [
            Incident(name, read_feature(connection, name).standing.in_force, healths[name])
            for name in names
        ]
    return tuple(
        each for each in found if each.override is not None or _needs_a_person(each.health)
    )


def _needs_a_person(health: Health) -> bool:
    judgement = health.judgement
    return judgement.verdict is Verdict.FAIL or judgement.reason is Reason.SHARED_CAUSE
