"""The evidence of a rollback, over every repository; `planning.verification` judges it."""

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import text

from reconciler.database.blast_radius import measure_blast_radius
from reconciler.database.live_state import read_configurations
from reconciler.database.override_actions import FoundFeature
from reconciler.database.queries import queries
from reconciler.planning.overrides import narrow
from reconciler.planning.verification import GitAnswer, JobsSince, RollbackFacts
from reconciler.rollout_file.model import Override

if TYPE_CHECKING:
    from sqlalchemy import Connection

_SQL = queries("verification")


def read_rollback_facts(
    connection: "Connection",
    found: FoundFeature,
    override: Override,
    *,
    fallback: str,
    git: GitAnswer,
) -> RollbackFacts:
    """Return the evidence about a feature under the override in force; writes nothing."""
    live = read_configurations(connection)[found.name]
    desired = found.standing.desired
    wanted = replace(
        live, active=desired.active, emergency_stop=False, percentage=desired.percentage
    )
    demanded = narrow(wanted, override)
    # The repositories that a change from live to the demanded state would move are the violations.
    radius = measure_blast_radius(connection, found.name, live.targeting, demanded.targeting)
    parameters = {"feature": found.name, "since": override.at}
    jobs = connection.execute(text(_SQL["jobs_since"]), parameters | {"fallback": fallback}).one()
    history_rows = connection.execute(
        text(_SQL["history_rows"]), parameters | {"override": str(override.id)}
    ).scalar_one()
    return RollbackFacts(
        override=override,
        live=found.standing.live,
        desired=desired,
        too_many=radius.lost,
        too_few=radius.gained,
        repositories=radius.repositories,
        eligible=radius.before,
        jobs=JobsSince(jobs.on_fallback, jobs.elsewhere, jobs.last_elsewhere_at),
        fallback=fallback,
        history_rows=history_rows,
        git=git,
    )
